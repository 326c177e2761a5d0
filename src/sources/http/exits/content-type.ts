/** What a `Content-Type` says (RFC 9110 §8.3), names in lower case. */
export interface ContentType {
  readonly media: string;
  readonly charset: string | undefined;
}

export function readContentType(header = ''): ContentType {
  const [media = ''] = header.split(';', 1);
  const [, quoted, plain] = /;\s*charset=(?:"([^"]*)"|([^\s;]+))/i.exec(header) ?? [];
  return { media: media.trim().toLowerCase(), charset: (quoted ?? plain)?.toLowerCase() };
}

export function isForm({ media }: ContentType): boolean {
  return media === 'application/x-www-form-urlencoded';
}

export function isJson({ media }: ContentType): boolean {
  return media === 'application/json' || media.endsWith('+json');
}

/** Whether a body is text, which a charset can be said of. */
export function isText(type: ContentType): boolean {
  const { media } = type;
  return media.startsWith('text/') || isForm(type) || isJson(type) || media === 'application/xml' || media.endsWith('+xml');
}
