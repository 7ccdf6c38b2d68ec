/** Where a frame of zstd ends (RFC 8878, section 3.1.1), without decompressing it. */

const magic = 0xfd2fb528;
const fixedHeaderBytes = 5;
const blockHeaderBytes = 3;
const checksumBytes = 4;
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;
const blockTypes = { runLength: 1, reserved: 3 } as const;

/** Whether `bytes` is one frame from its first byte to its last. What its blocks say is not looked at. */
export function isOneFrame(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < fixedHeaderBytes || view.getUint32(0, true) !== magic) return false;
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const sizeFlag = descriptor >>> 6;
  // A single segment has no window descriptor, and always says its size.
  const optionalBytes = isSingleSegment ? contentSizeBytes[sizeFlag] || 1 : 1 + (contentSizeBytes[sizeFlag] as number);
  let at = fixedHeaderBytes + optionalBytes + (dictionaryIdBytes[descriptor & 0x03] as number);
  for (let isLast = false; !isLast; ) {
    if (at + blockHeaderBytes > bytes.byteLength) return false;
    const block = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const type = (block >>> 1) & 0x03;
    if (type === blockTypes.reserved) return false;
    isLast = (block & 1) !== 0;
    at += blockHeaderBytes + (type === blockTypes.runLength ? 1 : block >>> 3);
  }
  return at + (hasChecksum ? checksumBytes : 0) === bytes.byteLength;
}
