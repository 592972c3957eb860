/** Let the reader keep bytes as a file of that name. */
export function saveAs(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not at once: the browser begins to read it in its own time.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
