// Text for people: what came from the cluster, made safe to print on a terminal, in a log, in a status message; what an
// error says.

// Controls (ANSI escapes begin with one), format characters (bidi and zero-width marks), halves of surrogate pairs,
// private use, line and paragraph separators, and whatever else a terminal draws as nothing.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function visible(character: string): string {
  if (!UNSAFE.test(character)) return character;
  return SHORT[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

/**
 * One line in which nothing moves a cursor, changes a colour, reorders or hides text: such characters appear as escapes,
 * `\u{1b}` for instance. `max` counts code points of the answer; a longer one is cut and ends in `…`, never inside an escape.
 */
export function printable(text: string, max = Number.POSITIVE_INFINITY): string {
  if (text.length <= max && !UNSAFE.test(text)) return text;
  const pieces: string[] = [];
  let length = 0;
  let room = 0; // pieces that still leave a place for the ellipsis
  for (const character of text) {
    const piece = visible(character);
    length += piece === character ? 1 : piece.length;
    if (length > max) return max < 1 ? '' : `${pieces.slice(0, room).join('')}…`;
    pieces.push(piece);
    if (length < max) room = pieces.length;
  }
  return pieces.join('');
}

// Letters of Latin that no accent makes of ASCII, and that nobody takes for another.
const LATIN = 'ßẞæÆøØœŒłŁđĐþÞ';

function isPlain(character: string): boolean {
  return character <= '~' || LATIN.includes(character) || /^[a-z]\p{M}+$/iu.test(character.normalize('NFD'));
}

/**
 * A user name, printable, in which no letter passes for another: beside ASCII letters, what is neither ASCII nor a letter of
 * theirs with an accent appears as an escape, such as the Cyrillic letter in `r\u{456}ta`. A name without any of them is of
 * another script as a whole, and stays readable to who reads that.
 */
export function printableUser(name: string, max = Number.POSITIVE_INFINITY): string {
  if (!/[a-z]/i.test(name)) return printable(name, max);
  const pieces = [...name].map((each) => (isPlain(each) ? each : `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`));
  return printable(pieces.join(''), max);
}

/** A text in which `written` says how what a terminal would act on or not show is written. */
export function escaped(text: string, written: (character: string) => string): string {
  if (!UNSAFE.test(text)) return text;
  return [...text].map((character) => (UNSAFE.test(character) ? written(character) : character)).join('');
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Some of a list in a sentence, and whether there is more. */
export function listed(items: string[], most: number): string {
  return items.slice(0, most).join('; ') + (items.length > most ? '; and more' : '');
}
