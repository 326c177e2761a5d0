/** One XML element, frozen. Attribute names are as written; `xmlns` is an attribute like any other. */
export interface Stanza {
  /** The name as written, prefix included. */
  readonly name: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Its namespace, resolved; empty when it has none. */
  readonly ns: string;
  readonly children: readonly (Stanza | string)[];
  /** This element as XML text. */
  readonly xml: string;
  /** The text below the first child reached by `path` (`text('body')`); without a path its own. Empty when absent. */
  text(...path: readonly string[]): string;
}
