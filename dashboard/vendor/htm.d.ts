/** Its own declaration is that of a CommonJS module. */
declare const htm: { bind(h: unknown): (strings: TemplateStringsArray, ...values: unknown[]) => unknown };

export default htm;
