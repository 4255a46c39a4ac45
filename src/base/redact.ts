/** @file Secrets, kept out of what is printed and written. */

// By name, as people and services name them: HF_TOKEN, WANDB_API_KEY, AWS_SECRET_ACCESS_KEY, …
const SECRET_NAME = /(^|_)(TOKEN|API_?KEY|ACCESS_KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i;

/** Whether an environment variable of this name holds a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

// Shorter values occur in ordinary text.
const SHORTEST_SECRET = 8;
const MASK = "[secret]";

/**
 * Returns a function that replaces the values of secret variables, also as base64 and in URLs,
 * and the passwords of URLs.
 */
export function createRedactor(
  environment: Readonly<Record<string, string | undefined>>,
): (text: string) => string {
  const secrets = new Set<string>();
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value.length < SHORTEST_SECRET || !isSecretName(name)) continue;
    secrets.add(value);
    secrets.add(JSON.stringify(value).slice(1, -1));
    secrets.add(encodeURIComponent(value));
    secrets.add(Buffer.from(value).toString("base64"));
    secrets.add(Buffer.from(value).toString("base64url"));
  }
  // The longest first: one secret may contain another.
  const longestFirst = [...secrets].sort((a, b) => b.length - a.length);
  return (text) => {
    let redacted = text;
    for (const secret of longestFirst) redacted = redacted.replaceAll(secret, MASK);
    return redacted.replace(/(\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@"']{1,256}@/gi, `$1${MASK}@`);
  };
}
