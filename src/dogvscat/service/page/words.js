// The sentences that depend on the answer.

export function formatPercent(fraction) {
  return `${(100 * fraction).toFixed(1)}%`;
}

// As formatPercent, but never a flat 0% or 100%: a network is never certain.
export function formatProbability(probability) {
  if (probability > 0.999) return "over 99.9%";
  if (probability < 0.001) return "under 0.1%";
  return formatPercent(probability);
}

export function withArticle(name) {
  return `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}

export function verdictText({ label, probabilities }) {
  const probability = probabilities[label];
  if (probability === undefined) return "Not sure"; // "unsure" is not a class
  const certainty = probability >= 0.99 ? "Almost certainly" : probability >= 0.9 ? "Very likely" : "Probably";
  return `${certainty} ${withArticle(label)}`;
}

// The sentence about the reason why an answer is unsure; "" if it is not.
export function unsureReason({ reason, probabilities, neither }, model) {
  if (!reason) return "";
  const [negative, positive] = Object.keys(probabilities);
  if (reason === "at_chance") {
    return `This network is no better than guessing, so it answers neither ${negative} nor ${positive}.`;
  }
  if (reason === "neither") {
    return (
      `The photo seems to show neither ${withArticle(negative)} nor ${withArticle(positive)}, or one that is hard to ` +
      `see (probability of neither: ${formatProbability(neither)}). If it does show one of them, the bar shows which is ` +
      "more likely."
    );
  }
  // The limits of the model are missing if they could not be loaded.
  if (!model) return "Too close to call: it could be either.";
  const band = `between ${formatPercent(model.unsure_low)} and ${formatPercent(model.unsure_high)}`;
  return `Too close to call: with a probability of ${positive} ${band} the answer is “unsure”.`;
}

// What the heat map is evidence for: the answer, or the nearer class if the answer is unsure.
export function heatMapLegend({ label, probabilities }) {
  const [negative, positive] = Object.keys(probabilities);
  const nearerClass = probabilities[positive] >= 0.5 ? positive : negative;
  return `Bright areas are the strongest evidence for ${withArticle(label in probabilities ? label : nearerClass)}.`;
}

// The text with control characters and marks of the direction of text as escapes, so that a name reads as it is.
export function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}
