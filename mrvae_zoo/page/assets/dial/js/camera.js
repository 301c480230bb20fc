// A photograph: from the camera where the browser gives access to one, else from whatever app takes photographs.

import { byId } from "./dom.js";

/**
 * Make the button "Photograph" work.
 * @param {(picture: Blob) => void} onPhoto
 */
export function makeCamera(onPhoto) {
  const dialog = byId("camera");
  const video = byId("camera-video");
  let stream = null;

  byId("photograph").addEventListener("click", async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      // No camera, no permission, or no https: the file dialog, which phones answer with a camera.
      byId("capture").click();
      return;
    }
    video.srcObject = stream;
    dialog.showModal();
  });
  byId("camera-take").addEventListener("click", () => {
    if (video.videoWidth === 0) return; // the camera has not started yet
    const frame = Object.assign(document.createElement("canvas"), {
      width: video.videoWidth,
      height: video.videoHeight,
    });
    frame.getContext("2d").drawImage(video, 0, 0);
    frame.toBlob(onPhoto);
    dialog.close();
  });
  byId("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    stream?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  });
  byId("capture").addEventListener("change", ({ target }) => {
    if (target.files.length > 0) onPhoto(target.files[0]);
    target.value = "";
  });
}
