/** What a client runs on, with OpenIM's number for it; 0 and the empty string where that is not known. */
export interface Platform {
  readonly platformID: number;
  readonly platform: string;
}

/**
 * Nothing in a stanza tells what a client runs on but its resource, which is known to begin with that where a client
 * wants it to be: `ios`, `Android-17c`, `web.3f`.
 */
export function platformOf(resource: string): Platform {
  const [, word = ''] = /^([a-z]+)(?![a-z])/i.exec(resource) ?? [];
  return platforms.find(({ platform }) => platform.toLowerCase() === word.toLowerCase()) ?? unknown;
}

const unknown: Platform = { platformID: 0, platform: '' };

const platforms: readonly Platform[] = [
  { platformID: 1, platform: 'iOS' },
  { platformID: 2, platform: 'Android' },
  { platformID: 3, platform: 'Windows' },
  { platformID: 4, platform: 'macOS' },
  { platformID: 5, platform: 'Web' },
  { platformID: 7, platform: 'Linux' },
];
