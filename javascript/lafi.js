// The page's side of LAFI: the status line, the badge on the accordion, the gallery button.
// Everything hangs on one name; the controls' ids come from the server.
var lafi = (function() {
    const timers = {};

    // Clicks a hidden button soon, once for many changes: sliders report every step of a drag.
    function refresh(buttonId) {
        clearTimeout(timers[buttonId]);
        timers[buttonId] = setTimeout(() => {
            gradioApp().querySelector(`#${buttonId}`)?.click();
        }, 250);
        return [];
    }

    // Shows on the accordion's title, open or closed, whether LAFI takes part.
    function mark(accordionId, enabled, image) {
        const badge = gradioApp().querySelector(`#${accordionId} .lafi-badge`);
        if (badge) {
            badge.textContent = !enabled ? "" : image ? "active" : "image missing";
            badge.classList.toggle("lafi-warning", Boolean(enabled && !image));
        }
        return [];
    }

    // The data of the picture that is selected in a tab's gallery, base64; empty without one.
    async function selectedPicture(tab) {
        const gallery = gradioApp().querySelector(`#${tab}_gallery`);
        const picture = gallery?.querySelector(".thumbnail-item.selected img") ??
            gallery?.querySelector("img");
        if (!picture) {
            return [""];
        }
        const blob = await (await fetch(picture.src)).blob();
        const url = await new Promise((resolve, reject) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result);
            reader.onerror = () => reject(reader.error);
            reader.readAsDataURL(blob);
        });
        return [url.slice(url.indexOf(",") + 1)];
    }

    onUiLoaded(() => {
        for (const button of gradioApp().querySelectorAll('[id$="_lafi_ui_refresh"]')) {
            refresh(button.id);
            // Another checkpoint may have been loaded since the user last looked.
            const accordion = button.closest(".input-accordion");
            accordion?.addEventListener("mouseenter", () => refresh(button.id));
        }
    });

    return {refresh, mark, selectedPicture};
})();
