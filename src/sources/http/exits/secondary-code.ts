/** The return code of an exit: 0 to go on, 1 to 255; what is none of these counts as 255. */
export function retcodeOf(given: unknown): number {
  return typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 255 ? given : 255;
}

/** The secondary KDCS return code of a service that an exit has ended: 26 gives `HX1A`. */
export function secondaryCode(retcode: number): string {
  return `HX${retcode.toString(16).toUpperCase().padStart(2, '0')}`;
}
