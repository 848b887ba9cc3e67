// How a page of ours opens: its styles and the taxonomy first, then the page in its place.
import { el } from "./elements.js";

/** Fetch the styles and the taxonomy, put the page that `make(taxonomy)` returns into `element`, and let it listen. Return the page. */
export async function openPage(element, styles, make) {
  const taxonomy = fetch(new URL("../taxonomy.json", import.meta.url)).then((answer) => answer.json());
  const [known] = await Promise.all([taxonomy, ...styles.map((name) => addStyle(new URL(`../${name}`, import.meta.url).href))]);
  const page = make(known);
  element.replaceChildren(page.screen.root);
  keepHeight(page.screen.root);
  page.listen();
  return page;
}

function addStyle(href) {
  if (document.querySelector(`link[href="${href}"]`)) return null;
  return new Promise((resolve) => {
    document.head.append(el("link", { rel: "stylesheet", href, on: { load: resolve, error: resolve } }));
  });
}

/** Tell the styles how much height is taken above the page, now and when that changes. */
function keepHeight(root) {
  const fit = () => root.style.setProperty("--top", `${Math.round(root.getBoundingClientRect().top + window.scrollY)}px`);
  new ResizeObserver(fit).observe(root.parentElement);
  fit();
}
