/** The users `user0`, `user1` and so on with their passwords, for the start of a server. */
export function crowd(size: number): Readonly<Record<string, string>> {
  return Object.fromEntries(Array.from({ length: size }, (_, index) => [`user${index}`, 'pw']));
}
