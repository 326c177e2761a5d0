/** Why this version of Node.js cannot run the service; undefined if it can. `required`: `engines.node` of package.json, such as `>=20.18`. */
export function complaintAboutNode(
  version: string,
  { required, program }: { readonly required: string; readonly program: string },
): string | undefined {
  const least = required.replace('>=', '');
  if (isAtLeast(partsOf(version), partsOf(least))) return undefined;
  return `Node.js ${version} (${program}) is too old: ${least} or newer is required, and 24 is recommended. See https://nodejs.org/en/download`;
}

function partsOf(version: string): readonly number[] {
  return version.split('.').map((part) => Number.parseInt(part, 10));
}

function isAtLeast(version: readonly number[], least: readonly number[]): boolean {
  const at = least.findIndex((part, index) => (version[index] ?? 0) !== part);
  return at === -1 || (version[at] ?? 0) > (least[at] ?? 0);
}
