// All text that is shown, with its contrast: [[ratio, text]]. What is disabled is left out.
// Source: WCAG 2.2, 1.4.3 and the definition of relative luminance.
() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const over = (top, alpha, below) => top.map((value, i) => value * alpha + below[i] * (1 - alpha));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const { rgb, a } = parse(getComputedStyle(element).backgroundColor);
    return a === 1 ? rgb : over(rgb, a, background(element.parentElement));
  };
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || element.closest('script, style, noscript, option, .hidden, .skip') || element.matches(':disabled, :disabled *')) continue;
    if (!element.checkVisibility()) continue;
    const behind = background(element);
    const { rgb, a } = parse(getComputedStyle(element).color);
    const [low, high] = [luminance(over(rgb, a * opacity(element), behind)), luminance(behind)].sort((x, y) => x - y);
    const contrast = (high + 0.05) / (low + 0.05);
    found.push([Math.round(contrast * 100) / 100, text]);
  }
  return found;
}
