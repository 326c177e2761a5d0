/** What somebody else wrote must not steer the terminal. Lines stay lines. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '\u{fffd}');
}
