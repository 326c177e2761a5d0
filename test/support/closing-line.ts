import type { Reporter, TestModule } from 'vitest/node';

/** Ends a test run with the plain line `N passed, N failed`, which scripts read; the number of skipped tests is on the line before. */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests += 1;
        const { state } = test.result();
        if (state !== 'pending') count[state] += 1;
      }
      if (tests === 0 && !module.ok()) count.failed += 1; // a file that failed to load
    }
    const skipped = count.skipped > 0 ? `${count.skipped} skipped\n` : '';
    process.stdout.write(`\n${skipped}${count.passed} passed, ${count.failed} failed\n`);
  }
}

export default ClosingLine;
