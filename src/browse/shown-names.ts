/**
 * Names of any bytes as text, for interfaces that know only text, and back. A name that is UTF-8 is itself; in any other
 * one each byte that is not printable ASCII, and the backslash, becomes `\xNN`.
 */
const decoder = new TextDecoder('utf-8', { fatal: true });

export function shownName(name: Uint8Array): string {
  try {
    return decoder.decode(name);
  } catch {
    return Array.from(name, (byte) => (isPlain(byte) ? String.fromCharCode(byte) : `\\x${hex(byte)}`)).join('');
  }
}

/** The names that a text may stand for, the likelier one first: the text itself, and what it is the escaped form of. */
export function namesShownAs(text: string): Uint8Array[] {
  const plain = Buffer.from(text);
  if (!text.includes('\\x')) return [plain];
  const unescaped = Buffer.from(
    text.replaceAll(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
  return shownName(unescaped) === text ? [plain, unescaped] : [plain];
}

function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
