// Answers in words.

export function percent(probability) {
  if (probability > 0.999) return "over 99.9 %";
  if (probability < 0.001) return "under 0.1 %";
  return `${(100 * probability).toFixed(1)}%`;
}

export function withArticle(name) {
  return `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}

export function verdict({ label, probabilities }) {
  const probability = probabilities[label];
  if (probability === undefined) return "Not sure";
  const how = probability >= 0.99 ? "Almost certainly" : probability >= 0.9 ? "Very likely" : "Probably";
  return `${how} ${withArticle(label)}`;
}

// Why an answer is unsure: the picture seems to show neither class, or the two are too close.
export function explanation({ label, probabilities, neither }, model) {
  if (label in probabilities) return "";
  const [negative, positive] = Object.keys(probabilities);
  if (model && neither !== null && neither > model.neither_limit) {
    return `It seems to show neither ${withArticle(negative)} nor ${withArticle(positive)}, or one that is hard to see ` +
      `(${percent(neither)} neither). If it is one of the two, the bar says which.`;
  }
  const band = model ? ` Between ${percent(model.unsure_low)} and ${percent(model.unsure_high)} ${positive}` : " Here";
  return `It could be either: this one is too close to call.${band} the network says so rather than guess.`;
}

// What a heat-map is a map of: the answer, or the nearer class where there is none.
export function legend({ label, probabilities }, model) {
  const [negative, positive] = Object.keys(probabilities);
  const nearer = probabilities[positive] >= (model?.threshold ?? 0.5) ? positive : negative;
  return `Bright places spoke most for ${withArticle(label in probabilities ? label : nearer)}.`;
}
