// The golden pictures of the model, for visitors without a photo at hand.

// files: their addresses; addPhotos is called with the picture that is chosen, as a file.
export function offerGolden(files, container, addPhotos) {
  for (const [index, file] of files.entries()) {
    const button = document.createElement("button");
    const image = document.createElement("img");
    button.type = "button";
    image.src = file;
    image.alt = `Drawing ${index + 1}`;
    image.width = image.height = 48;
    button.append(image);
    button.addEventListener("click", async () => {
      const response = await fetch(file);
      addPhotos([new File([await response.blob()], file.split("/").at(-1))]);
    });
    container.append(button);
  }
  container.hidden = !files.length;
}
