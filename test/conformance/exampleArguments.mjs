/** Some value for every required argument of a tool, by its input schema. */
export const exampleArguments = ({ properties = {}, required = [] }) => {
  const examples = { number: 2, integer: 2, string: "text", boolean: true, array: [], object: {} }
  return Object.fromEntries(required.map((name) => [name, examples[properties[name]?.type] ?? null]))
}
