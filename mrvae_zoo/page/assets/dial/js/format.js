// Numbers as people read them.

/** β with the fewest digits that say it: 0.01, 0.106, 10. */
export function formatBeta(beta) {
  return String(Number(beta.toPrecision(4)));
}

/** Nats and the like: about four digits, 7.43, 79.3, 1,284. */
export function formatNumber(value) {
  const size = Math.abs(value);
  const digits = size >= 999.5 ? 0 : size >= 9.995 ? 1 : 2;
  return value
    .toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
    .replace("-", "−");
}

/** A size in bytes: 640 kB, 3.1 MB. */
export function formatBytes(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A time: 4 seconds, 2 minutes. */
export function formatSeconds(milliseconds) {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  return seconds < 100 ? count(seconds, "second") : count(Math.round(seconds / 60), "minute");
}

/** A count with a word: 1 latent, 12 latents. */
export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
