export function Page() {
  return <h1>operate</h1>;
}
