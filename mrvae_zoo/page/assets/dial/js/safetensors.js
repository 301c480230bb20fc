// Files of tensors, as the library safetensors writes them: the length of a header, the header as JSON, the numbers.

/**
 * Read float32 tensors.
 * @param {Uint8Array} bytes of a whole file
 * @returns {Record<string, {shape: number[], data: Float32Array}>}
 */
export function parseSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  delete header.__metadata__;
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          shape,
          data_offsets: [from, to],
        },
      ]) => [
        name,
        { shape, data: new Float32Array(bytes.slice(start + from, start + to).buffer) }, // a copy is aligned
      ],
    ),
  );
}
