/** One line of a conversation between two accounts of the same host. */
export interface Line {
  readonly from: User;
  readonly to: User;
  readonly text: string;
}

export type User = 'alice' | 'bob';

/** Plain, beyond ASCII, beyond the Basic Multilingual Plane, and over several lines: what forms get wrong. */
export const conversation: readonly Line[] = [
  { from: 'alice', to: 'bob', text: 'Hi, Bob!' },
  { from: 'bob', to: 'alice', text: 'Grüß dich, Alice!' },
  { from: 'alice', to: 'bob', text: 'Tea? 🍵🙂' },
  { from: 'bob', to: 'alice', text: 'Sure:\n1. green\n2. mint' },
];

export const duringTheOutage: Line = { from: 'alice', to: 'bob', text: 'At noon, & bring cake!' };

/** `alice → bob` */
export function describeWay({ from, to }: { readonly from: string; readonly to: string }): string {
  return `${from} → ${to}`;
}

/** `alice → bob   Hi, Bob!`, further lines under the first. */
export function describeLine({ from, to, text }: { readonly from: string; readonly to: string; readonly text: string }): string {
  const who = describeWay({ from, to }).padEnd(14);
  return `${who}${text.replaceAll('\n', `\n${' '.repeat(who.length)}`)}`;
}
