import { SaxesParser } from 'saxes';
import type { Stanza } from '../../model/packet.ts';
import { type ElementHead, finishRead } from './element.ts';
import type { StanzaContext } from './parse.ts';
import { resolveHead } from './resolve.ts';
import { Scope } from './scope.ts';

/** Maximum number of bytes that are read of a stanza. */
const maxHeadBytes = 16_384;

/**
 * The beginning of a stanza that is not whole or cannot be read: the element with its attributes, and the children that
 * start before the first mistake, each with its attributes alone. Undefined where the element's own tag cannot be read.
 * Never throws.
 */
export function readHead(bytes: Buffer, { namespaces = {} }: StanzaContext = {}): Stanza | undefined {
  const saxes = new SaxesParser({ xmlns: false, fragment: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true });
  const scope = new Scope(namespaces);
  const children: Stanza[] = [];
  let root: ElementHead | undefined;
  let depth = 0;

  saxes.on('opentag', ({ name, attributes }) => {
    depth += 1;
    if (root === undefined) root = resolveHead(name, attributes, scope);
    else if (depth === 2) children.push(finishRead(resolveHead(name, attributes, scope), []));
  });
  saxes.on('closetag', () => {
    if (depth <= 2) scope.leave();
    depth -= 1;
  });
  saxes.on('error', (error) => {
    throw error;
  });
  try {
    saxes.write(bytes.toString('utf8', 0, maxHeadBytes));
  } catch {
    // The elements before the mistake are the result.
  }
  return root === undefined ? undefined : finishRead(root, children);
}
