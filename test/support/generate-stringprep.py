"""Writes src/packet/stringprep-tables.ts to standard output: the tables of RFC 3454 that XMPP's profiles need.

    python3 test/support/generate-stringprep.py > src/packet/stringprep-tables.ts

Python carries RFC 3454's tables and Unicode 3.2 in its standard library, so nothing is downloaded.
"""

import stringprep
import sys
import unicodedata

WIDTH = 120


def ranges(holds):
    """The code points for which `holds`, as [first, last] pairs."""
    found = []
    for code in range(sys.maxunicode + 1):
        if not holds(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def spelled(pairs):
    return [f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in pairs]


def folds():
    """Table B.2, as the code points that change: those that become one other, and those that become several.

    Python folds with the newest Unicode, so what Unicode 3.2 did not know is left out on both sides.
    """
    one, several = {}, {}
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code <= 0xDFFF:
            continue
        folded = stringprep.map_table_b2(chr(code))
        if folded == chr(code) or any(stringprep.in_table_a1(part) for part in chr(code) + folded):
            continue
        if len(folded) == 1:
            one[code] = ord(folded)
        else:
            several[code] = folded
    return one, several


def runs(one):
    """`first-last/step+distance`: every step-th code point of the range moves by distance."""
    spelled_runs, left = [], sorted(one)
    while left:
        first = left[0]
        distance = one[first] - first
        best = [first]
        for step in (1, 2):
            run = [first]
            while one.get(run[-1] + step, -1) - (run[-1] + step) == distance:
                run.append(run[-1] + step)
            if len(run) > len(best):
                best, best_step = run, step
        span = f"{first:x}" if len(best) == 1 else f"{first:x}-{best[-1]:x}/{best_step}"
        spelled_runs.append(f"{span}{distance:+x}")
        gone = set(best)
        left = [code for code in left if code not in gone]
    return spelled_runs


def several_spelled(several):
    return [f"{code:x}=" + "_".join(f"{ord(part):x}" for part in folded) for code, folded in several.items()]


def normal_forms():
    """What Unicode 3.2 normalised otherwise than it has been since (Corrigendum 4): code point=NFKC of 3.2."""
    corrected = (0x2F868, 0x2F874, 0x2F91F, 0x2F95F, 0x2F9BF)
    return [f"{code:x}={ord(unicodedata.ucd_3_2_0.normalize('NFKC', chr(code))):x}" for code in corrected]


def wrapped(words):
    lines, line = [], ""
    for word in words:
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return lines + [line]


def table(name, doc, words):
    body = " \\\n".join(wrapped(words))
    print(f"\n/** {doc} */\nexport const {name} =\n  '\\\n{body}';")


def prohibited(character):
    return (
        stringprep.in_table_c12(character)
        or stringprep.in_table_c22(character)
        or stringprep.in_table_c3(character)
        or stringprep.in_table_c4(character)
        or stringprep.in_table_c5(character)
        or stringprep.in_table_c6(character)
        or stringprep.in_table_c7(character)
        or stringprep.in_table_c8(character)
        or stringprep.in_table_c9(character)
    )


one_to_one, one_to_several = folds()
print("// Written by test/support/generate-stringprep.py from the tables of RFC 3454. All numbers are hexadecimal.")
table("UNASSIGNED", "Table A.1: code points that Unicode 3.2 did not know.", spelled(ranges(stringprep.in_table_a1)))
table("NOTHING", "Table B.1: characters that are mapped to nothing.", spelled(ranges(stringprep.in_table_b1)))
table(
    "FOLD_RUNS",
    "Table B.2, one to one: `first+distance`, or `first-last/step+distance`: every step-th code point moves by distance.",
    runs(one_to_one),
)
table("FOLD_SEVERAL", "Table B.2, one to several: `code=code_code`.", several_spelled(one_to_several))
table("NORMAL_FORMS_3_2", "Code points whose NFKC was corrected after Unicode 3.2, with what it was.", normal_forms())
table("PROHIBITED", "Tables C.1.2, C.2.2 and C.3 to C.9: prohibited in all profiles.", spelled(ranges(prohibited)))
table("RIGHT_TO_LEFT", "Table D.1: characters written from right to left.", spelled(ranges(stringprep.in_table_d1)))
table("LEFT_TO_RIGHT", "Table D.2: characters written from left to right.", spelled(ranges(stringprep.in_table_d2)))
