/** So many users with their passwords, for a server to be started with: `user0`, `user1` and so on. */
export function crowd(size: number): Readonly<Record<string, string>> {
  return Object.fromEntries(Array.from({ length: size }, (_, index) => [`user${index}`, 'pw']));
}
