// Not a module, so that it runs where modules do not: in a file that was opened without a server.
if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    document.body.classList.remove("starting");
    document.getElementById("message").textContent =
      "Browsers run this page only from a web server. Run python -m http.server in its folder, and open http://localhost:8000.";
  });
}
