// The questions to the server. A later question of the same kind ends the earlier one.

const running = new Map();

export class Refused extends Error {}

/** Ask once; resolves to undefined where a later question has taken its place. */
export async function ask(name, question, kind = name) {
  running.get(kind)?.abort();
  const control = new AbortController();
  running.set(kind, control);
  try {
    return await post(name, question, control.signal);
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    throw error;
  } finally {
    if (running.get(kind) === control) running.delete(kind);
  }
}

export async function post(name, question, signal) {
  const answer = await fetch(`/api/${name}`, {
    method: "POST", signal, body: JSON.stringify(question), headers: { "content-type": "application/json" },
  });
  return read(answer);
}

export async function get(path) {
  return read(await fetch(path));
}

/** The file that an export makes, saved by the browser. */
export async function download(question) {
  const answer = await fetch("/api/export", {
    method: "POST", body: JSON.stringify(question), headers: { "content-type": "application/json" },
  });
  if (!answer.ok) await read(answer);
  const name = /filename="([\w.]+)"/.exec(answer.headers.get("content-disposition"))[1];
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

async function read(answer) {
  if (answer.ok) return answer.json();
  let why = await answer.text();
  try { why = JSON.parse(why).error; } catch { /* a refusal in plain text */ }
  throw new Refused(why);
}

export const photo = (table, image, size) => `/photos/${table}/${size}/${encodeURIComponent(image)}`;
