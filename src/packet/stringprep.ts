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

/** Prepares one string; undefined when its characters or their direction are not allowed. */
export type Profile = (text: string) => string | undefined;

/** The three profiles of XMPP addresses, RFC 3920 appendices A and B, RFC 3491. */
export interface Profiles {
  readonly nodeprep: Profile;
  readonly nameprep: Profile;
  readonly resourceprep: Profile;
}

/**
 * Stringprep (RFC 3454) with Unicode 3.2, which chat servers compare addresses by. Code points that 3.2 did not know pass
 * unchanged, as in a query (§7): a server that let them in must not lose its packets here. Builds its tables when called.
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

  /** NFKC as in Unicode 3.2: what it did not know stays, and stands between what it did. */
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

  /** RFC 3454 §6: what holds a right-to-left character holds no left-to-right one, and begins and ends with the former. */
  function keepsDirection(out: string): boolean {
    if (!right.test(out)) return true;
    const all = [...out];
    return !left.test(out) && right.test(all[0] ?? '') && right.test(all.at(-1) ?? '');
  }
}

function characters(ranges: string, flags: string): RegExp {
  return new RegExp(`[${classOf(ranges)}]`, flags);
}

/** `41-5a 61` → what stands between the brackets of a regular expression. */
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

/** `df=73_73 …` → each character with what it becomes. */
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
