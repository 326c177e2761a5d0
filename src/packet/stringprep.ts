import {
  FOLD_RUNS,
  FOLD_SEVERAL,
  LEFT_TO_RIGHT,
  NORMAL_FORMS_3_2,
  NOTHING,
  PROHIBITED,
  RIGHT_TO_LEFT,
  UNASSIGNED,
} from './stringprep-tables.ts';

/** Prepares one string; undefined if its characters or their direction are not allowed. */
export type Profile = (text: string) => string | undefined;

/** The three profiles of XMPP addresses (RFC 3920 appendices A and B, RFC 3491). */
export interface Profiles {
  readonly nodeprep: Profile;
  readonly nameprep: Profile;
  readonly resourceprep: Profile;
}

/**
 * Stringprep (RFC 3454) with Unicode 3.2, by which chat servers compare addresses. Code points that are unassigned in Unicode 3.2
 * pass unchanged, as in a query (§7), so that packets of servers that allow them are not lost. Builds its tables when called.
 */
export function createProfiles(): Profiles {
  const folds = readFolds();
  const corrections = readPairs(NORMAL_FORMS_3_2);
  const nothing = characters(NOTHING, 'gu');
  const prohibited = characters(PROHIBITED, 'u');
  const controls = characters('0-1f 7f', 'u');
  const separators = /[ "&'/:<>@]/; // C.1.1, and RFC 3920 appendix A.5
  const right = characters(RIGHT_TO_LEFT, 'u');
  const left = characters(LEFT_TO_RIGHT, 'u');
  const known = new RegExp(`[^${classOf(UNASSIGNED)}]+`, 'gu');

  return {
    nodeprep: (text) => check(normal(fold(text)), (out) => prohibited.test(out) || controls.test(out) || separators.test(out)),
    nameprep: (text) => check(normal(fold(text)), (out) => prohibited.test(out)),
    resourceprep: (text) => check(normal(text.replace(nothing, '')), (out) => prohibited.test(out) || controls.test(out)),
  };

  function fold(text: string): string {
    let folded = '';
    for (const character of text.replace(nothing, '')) folded += folds.get(character) ?? character;
    return folded;
  }

  /** NFKC of Unicode 3.2. Unassigned code points stay unchanged and separate the runs that are normalised. */
  function normal(text: string): string {
    return text.replace(known, (run) => {
      let corrected = '';
      for (const character of run) corrected += corrections.get(character) ?? character;
      return corrected.normalize('NFKC');
    });
  }

  function check(out: string, forbids: (out: string) => boolean): string | undefined {
    return forbids(out) || !keepsDirection(out) ? undefined : out;
  }

  /** RFC 3454 §6: a string with a right-to-left character contains no left-to-right one, and begins and ends with the former. */
  function keepsDirection(out: string): boolean {
    if (!right.test(out)) return true;
    const all = [...out];
    return !left.test(out) && right.test(all[0] ?? '') && right.test(all.at(-1) ?? '');
  }
}

function characters(ranges: string, flags: string): RegExp {
  return new RegExp(`[${classOf(ranges)}]`, flags);
}

/** Converts `41-5a 61` to the inside of a character class. */
function classOf(ranges: string): string {
  return ranges.replaceAll(/[0-9a-f]+/g, '\\u{$&}').replaceAll(' ', '');
}

function readFolds(): Map<string, string> {
  const folds = readPairs(FOLD_SEVERAL);
  for (const run of FOLD_RUNS.split(' ')) {
    const [, first = '', last = first, step = '1', distance = ''] = /^([^-+/]+)(?:-([^/]+)\/(\d))?([-+].+)$/.exec(run) ?? [];
    const end = Number.parseInt(last, 16);
    for (let code = Number.parseInt(first, 16); code <= end; code += Number(step)) {
      folds.set(String.fromCodePoint(code), String.fromCodePoint(code + Number.parseInt(distance, 16)));
    }
  }
  return folds;
}

/** Parses `df=73_73 …`: each character and its replacement. */
function readPairs(table: string): Map<string, string> {
  return new Map(
    table.split(' ').map((pair) => {
      const [from = '', to = ''] = pair.split('=');
      return [spell(from), to.split('_').map(spell).join('')];
    }),
  );
}

function spell(code: string): string {
  return String.fromCodePoint(Number.parseInt(code, 16));
}
