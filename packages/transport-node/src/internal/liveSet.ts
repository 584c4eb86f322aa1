/**
 * A set of what is under way. Unlike a `Set` it lets go of what was removed: V8 gives a `Set` that is added to and deleted
 * from a new table every few operations, each table holds its successor and all that was in it, and once one of them got
 * old, everything that ever was a member survives until the next full garbage collection.
 */
export interface Member {
  /** Where it is in its set; -1 outside of it. Only the set writes it. */
  place: number
}

export class LiveSet<A extends Member> {
  private readonly members: Array<A> = []

  add(member: A): void {
    if (member.place === -1) member.place = this.members.push(member) - 1
  }

  /** Harmless when it is not there. */
  delete(member: A): void {
    const { place } = member
    if (place === -1) return
    member.place = -1
    const last = this.members.pop()
    if (last === undefined || last === member) return
    this.members[place] = last
    last.place = place
  }

  /** All of them, in no particular order; what happens to the set meanwhile does not matter. */
  get all(): ReadonlyArray<A> {
    return this.members.slice()
  }
}
