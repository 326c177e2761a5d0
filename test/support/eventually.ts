/** After this time a wait in a test has hung. It is not a limit on speed, because the machine may be busy. */
export const hangMs = 60_000;

/** Calls `check` every 10 ms until it neither throws nor returns false; throws the last failure after `withinMs`. */
export async function eventually(check: () => unknown, { withinMs = hangMs }: { readonly withinMs?: number } = {}): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    try {
      if ((await check()) !== false) return;
      if (performance.now() > giveUpAt) throw new Error(`not true within ${withinMs} ms: ${check}`);
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
