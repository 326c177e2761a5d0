import { SaxesParser } from 'saxes';

/** An element as reported by saxes: name, namespace, attributes, children. */
export interface PlainElement {
  readonly name: string;
  readonly ns: string;
  readonly attrs: Record<string, string>;
  readonly children: (PlainElement | string)[];
}

/** The reference: saxes over the whole document at once, with its own namespaces. Throws if saxes finds an error. */
export function readWholeDocument(text: string): PlainElement {
  const parser = new SaxesParser({ xmlns: true });
  const document: PlainElement = { name: '', ns: '', attrs: {}, children: [] };
  const open = [document];
  const add = (child: PlainElement | string): void => {
    const children = open.at(-1)?.children ?? [];
    const last = children.at(-1);
    if (typeof child === 'string' && typeof last === 'string') children[children.length - 1] = last + child;
    else if (child !== '') children.push(child);
  };
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ name, uri, attributes }) => {
    const attrs = Object.fromEntries(Object.values(attributes).map((attribute) => [attribute.name, attribute.value]));
    const element = { name, ns: uri, attrs, children: [] };
    add(element);
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.on('text', add);
  parser.on('cdata', add);
  parser.write(text).close();
  const root = document.children.find((child) => typeof child !== 'string');
  if (root === undefined) throw new Error('no element');
  return root;
}
