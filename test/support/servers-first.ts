import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders whose tests start chat servers, browsers or the built service, and take longest. */
const withServers = /\/test\/(cli|dashboard|guides|plugins|scenarios|sources|supervise)\//;

/** Vitest begins with the largest files. A small one that starts servers would be among the last, and then run alone for minutes. */
export class ServersFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  return withServers.test(moduleId) ? 0 : 1;
}
