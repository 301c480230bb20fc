// Files from the net: their bytes, checked against a hash, with progress.

/** An error whose message is meant for the person before the screen. */
export class PageError extends Error {}

/**
 * Fetch a file and check it.
 * @param {string | URL} url
 * @param {string} integrity "sha256-…" or "sha384-…", in base64, as in HTML
 * @param {(bytes: number) => void} [onBytes] called with the number of bytes of each piece as it arrives
 * @returns {Promise<Uint8Array>}
 */
export async function download(url, integrity, onBytes = () => {}) {
  const name = String(url).split("/").pop();
  // Browsers offer their hash functions only on https and on this computer. Elsewhere fetch itself can check.
  const own = globalThis.crypto?.subtle !== undefined;
  let response;
  try {
    response = await fetch(url, own ? {} : { integrity });
  } catch {
    const reason = own ? "" : ", or is not the file that this page was made with";
    throw new PageError(
      `${name} could not be loaded from ${new URL(url).host}${reason}. Check the connection and reload.`,
    );
  }
  if (!response.ok) throw new PageError(`${name} could not be loaded: the server answered ${response.status}.`);
  const bytes = await readAll(response, name, onBytes);
  if (own && (await digest(bytes, integrity.split("-")[0])) !== integrity) {
    throw new PageError(
      `${name} is not the file that this page was made with: its checksum differs. Make the page again.`,
    );
  }
  return bytes;
}

/** Convert a checksum in hexadecimal, as model.json has it, to the form of HTML. */
export function integrityOf(sha256) {
  return `sha256-${btoa(String.fromCharCode(...sha256.match(/../g).map((pair) => parseInt(pair, 16))))}`;
}

async function readAll(response, name, onBytes) {
  const pieces = [];
  try {
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      onBytes(value.length);
    }
  } catch {
    throw new PageError(`${name} broke off while loading. Check the connection and reload.`);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

async function digest(bytes, algorithm) {
  const hash = new Uint8Array(await crypto.subtle.digest(algorithm.replace("sha", "SHA-"), bytes));
  return `${algorithm}-${btoa(String.fromCharCode(...hash))}`;
}
