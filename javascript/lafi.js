// The page's side of LAFI: the lines below the pictures, the badge on the accordion, the gallery
// button. Everything hangs on one name; the controls' ids come from the server.
var lafi = (function() {
    const timers = {};
    const sizes = {};

    // Clicks a hidden button soon, once for many changes: sliders report every step of a drag.
    function refresh(buttonId) {
        clearTimeout(timers[buttonId]);
        timers[buttonId] = setTimeout(() => {
            gradioApp().querySelector(`#${buttonId}`)?.click();
        }, 250);
        return [];
    }

    // Shows on the accordion's title, open or closed, whether LAFI takes part, and has what it needs.
    function mark(accordionId, enabled, enough) {
        const badge = gradioApp().querySelector(`#${accordionId} .lafi-badge`);
        if (badge) {
            badge.textContent = !enabled ? "" : enough ? "active" : "image missing";
            badge.classList.toggle("lafi-warning", Boolean(enabled && !enough));
        }
        return [];
    }

    // How many pictures the page shows of the reference; the line about the cost counts them.
    function count(image, views, buttonId) {
        refresh(buttonId);
        return [String((image ? 1 : 0) + (views?.length ?? 0))];
    }

    // The likeness dial's table holds rows of [percent, strength, fidelity]; its two directions.
    function nearest(table, distance) {
        return table.reduce((best, row) => (distance(row) < distance(best) ? row : best));
    }

    function numbersOf(table, percent) {
        return nearest(table, (row) => Math.abs(row[0] - percent)).slice(1);
    }

    function likenessOf(table, strength, fidelity) {
        return [nearest(table, (row) => Math.hypot(row[1] - strength, row[2] - fidelity))[0]];
    }

    // The size of the new picture, such as "512x768"; empty if the page does not show it.
    function size(tab) {
        const scaled = gradioApp().querySelector(`#${tab}_tab_resize_by`);
        if (scaled && scaled.offsetParent !== null) {
            const shown = gradioApp().querySelectorAll(`#${tab}_scale_resolution_preview .resolution`);
            return shown.length ? shown[shown.length - 1].textContent : "";
        }
        const sides = ["width", "height"].map((side) =>
            gradioApp().querySelector(`#${tab}_${side} input[type=number]`)?.value);
        return sides.every(Boolean) ? sides.join("x") : "";
    }

    function tabOf(element) {
        return element.id.includes("img2img") ? "img2img" : "txt2img";
    }

    // Asks again what is cut away if the new picture's size is another one than last time.
    function refitAt(button) {
        const now = size(tabOf(button));
        if (sizes[button.id] !== now) {
            sizes[button.id] = now;
            refresh(button.id);
        }
    }

    // How many pictures of a tab's gallery stand before the single ones: the host's grid.
    function grids(tab) {
        try {
            const info = gradioApp().querySelector(`#generation_info_${tab} textarea`).value;
            return JSON.parse(info).index_of_first_image || 0;
        } catch {
            return 0; // nothing generated yet
        }
    }

    // The data of the picture that is selected in a tab's gallery, base64; empty without one. A grid
    // is no reference: the first single picture is taken then.
    async function selectedPicture(tab) {
        const gallery = gradioApp().querySelector(`#${tab}_gallery`);
        const small = gallery?.querySelectorAll(".thumbnails .thumbnail-item") ?? [];
        const items = [...(small.length ? small : gallery?.querySelectorAll(".thumbnail-item") ?? [])];
        const selected = items.findIndex((item) => item.classList.contains("selected"));
        const picture = items[Math.max(selected, grids(tab), 0)]?.querySelector("img") ??
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
        for (const button of gradioApp().querySelectorAll('[id$="_lafi_ui_refit"]')) {
            const tab = tabOf(button);
            const inputs = gradioApp().querySelectorAll(`#${tab}_width input, #${tab}_height input`);
            inputs.forEach((each) => each.addEventListener("input", () => refresh(button.id)));
            const accordion = button.closest(".input-accordion");
            accordion?.addEventListener("mouseenter", () => refitAt(button));
        }
    });

    return {refresh, mark, count, numbersOf, likenessOf, size, selectedPicture};
})();
