"""How tones are asked for."""

from __future__ import annotations

from step1x_edit.data.instructions.grammar import Clauses


def _graded(name: str, en: tuple[str, ...], zh: tuple[str, ...]) -> dict[str, Clauses]:
    """Expand clauses with a field for the grade into the plain, the slight and the strong request."""
    return {
        f"tone {name}": Clauses(tuple(t.format(g="").replace("  ", " ").strip() for t in en), tuple(t.format(g="更") for t in zh)),
        f"tone {name} slightly": Clauses(
            tuple(t.format(g=g).replace("  ", " ").strip() for t in en for g in ("slightly", "a little")),
            tuple(t.format(g=g) + some for t in zh for g, some in (("稍微", "一点"), ("略微", "一些"))),
        ),
        f"tone {name} much": Clauses(
            tuple(t.format(g=g).replace("  ", " ").strip() for t in en for g in ("much", "a lot")),
            tuple(t.format(g=g) for t in zh for g in ("明显更", "非常")),
        ),
    }


_COMPARATIVES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "brighter": (
        ("make it {g} brighter", "make the photo {g} brighter", "turn the image {g} brighter", "get the picture {g} brighter"),
        ("把图片变得{g}亮", "让画面{g}亮", "把照片调得{g}亮", "让图像变得{g}明亮"),
    ),
    "darker": (
        ("make it {g} darker", "make the photo {g} darker", "turn the image {g} darker", "get the picture {g} dimmer"),
        ("把图片变得{g}暗", "让画面{g}暗", "把照片调得{g}暗", "让图像变得{g}昏暗"),
    ),
    "warmer": (
        ("make it {g} warmer", "make the colours {g} warmer", "turn the light {g} warmer", "make the white balance {g} warmer"),
        ("让色调{g}暖", "把颜色调得{g}暖", "把照片变得{g}暖", "让光线{g}温暖"),
    ),
    "colder": (
        ("make it {g} colder", "make the colours {g} cooler", "turn the light {g} colder", "make the white balance {g} cooler"),
        ("让色调{g}冷", "把颜色调得{g}冷", "把照片变得{g}冷", "让光线{g}清冷"),
    ),
    "vivid": (
        ("make the colours {g} more vivid", "make it {g} more saturated", "make the photo {g} more colourful", "get {g} richer colours"),
        ("让颜色{g}鲜艳", "把饱和度调得{g}高", "让照片的色彩{g}浓", "把画面变得{g}鲜艳"),
    ),
    "high contrast": (
        ("make the contrast {g} higher", "make it {g} more contrasty", "make the picture {g} punchier", "turn the contrast {g} higher"),
        ("让对比度{g}高", "把对比度调得{g}强", "让画面对比{g}强烈", "把明暗反差变得{g}大"),
    ),
}

_PLAIN: dict[str, Clauses] = {
    "night": Clauses(
        ("make it night", "turn day into night", "make it look like night time", "change the scene to night", "set this at night"),
        ("变成夜晚", "把白天变成黑夜", "让画面看起来像夜里", "把场景改成晚上", "把照片改成夜景"),
    ),
    "sepia": Clauses(
        ("make it sepia", "apply a sepia tone", "turn the photo sepia", "give it brown sepia colours", "change it to a sepia photograph"),
        ("变成棕褐色调", "加上怀旧棕色", "把照片变成深褐色", "使用棕褐色滤镜", "把图片改成褐色老照片色调"),
    ),
    "black and white": Clauses(
        ("make it black and white", "remove all colour", "convert the photo to greyscale", "turn it monochrome", "take the colour out"),
        ("变成黑白", "去掉所有颜色", "把照片转成灰度", "改成黑白照片", "把色彩全部去除"),
    ),
    "muted": Clauses(
        ("mute the colours", "make the colours less saturated", "desaturate the photo", "lower the saturation", "make the colours dull"),
        ("让颜色变淡", "降低饱和度", "把照片的色彩调淡", "让色彩柔和低调", "把颜色变得灰一些"),
    ),
    "vintage": Clauses(
        (
            "make it look vintage",
            "fade it like an old photo",
            "give it a retro look",
            "make it an old faded photograph",
            "apply a vintage filter",
        ),
        ("做成复古风格的照片", "让它像褪色的老照片", "加上怀旧效果", "变成泛黄的旧照片", "使用复古滤镜"),
    ),
    "low contrast": Clauses(
        ("lower the contrast", "reduce the contrast", "make it flat", "make the contrast softer", "weaken the contrast"),
        ("降低对比度", "减小对比度", "让画面变得平淡", "让对比柔和", "减弱明暗反差"),
    ),
    "fog": Clauses(
        ("add fog", "make it foggy", "fill the scene with mist", "cover everything with haze", "make the weather foggy"),
        ("加上雾", "变成大雾天", "让场景充满雾气", "给画面蒙上一层雾", "把天气改成有雾"),
    ),
    "dehaze": Clauses(
        ("remove the haze", "dehaze the photo", "clear the fog", "take the mist away", "make the hazy photo clear"),
        ("去除雾霾", "给照片去雾", "让雾散去", "清除雾气", "让朦胧的照片变清晰"),
    ),
    "fix exposure": Clauses(
        (
            "fix the underexposed photo",
            "correct the exposure",
            "restore the dark photo",
            "repair the underexposure",
            "recover the dark picture",
        ),
        ("修复曝光不足", "校正曝光", "把过暗的照片恢复正常", "修正欠曝的照片", "恢复这张太黑的图片"),
    ),
    "sunset": Clauses(
        ("make it sunset", "give it golden hour light", "change the time to sunset", "light it like an evening sun", "add a sunset glow"),
        ("变成日落时分", "加上黄金时刻的光线", "把时间改成傍晚日落", "用夕阳照亮画面", "加上晚霞的光"),
    ),
    "overexposed": Clauses(
        (
            "overexpose it",
            "make it overexposed",
            "blow out the highlights",
            "make the photo glaring white",
            "raise the exposure far too high",
        ),
        ("让照片过曝", "变成曝光过度的效果", "让高光溢出", "让画面亮得发白", "把曝光调到过高"),
    ),
    "lighten shadows": Clauses(
        ("lighten the shadows", "lift the shadows", "brighten the dark areas", "open up the shadows", "show more in the dark parts"),
        ("提亮阴影", "把暗部提亮", "让阴影变亮", "提升暗处的亮度", "让黑暗部分露出细节"),
    ),
    "autumn": Clauses(
        (
            "make it autumn",
            "turn the leaves orange",
            "change the season to fall",
            "change green leaves to autumn colours",
            "make the season autumn",
        ),
        ("变成秋天", "让树叶变成橙色", "把季节改成秋季", "把绿叶变成秋色", "让场景进入秋天"),
    ),
    "winter": Clauses(
        (
            "make it winter",
            "change the season to winter",
            "make it look snowy and pale",
            "turn it into a winter scene",
            "make the season winter",
        ),
        ("变成冬天", "把季节改成冬季", "让画面变得雪白苍茫", "变成冬日的景色", "让场景进入冬天"),
    ),
    "vignette": Clauses(
        ("add a vignette", "darken the corners", "add dark edges", "fade the borders to black", "shade the corners"),
        ("加上暗角", "把四角变暗", "加上暗的边缘", "让边缘渐渐变黑", "压暗四周"),
    ),
}

_TINTS: dict[str, str] = {"red": "红色", "green": "绿色", "blue": "蓝色", "purple": "紫色", "teal": "青色", "yellow": "黄色"}


def _tint(en: str, zh: str) -> Clauses:
    return Clauses(
        (f"give it a {en} tint", f"tint the photo {en}", f"light it with {en} light", f"apply a {en} filter", f"make everything look {en}"),
        (f"加上{zh}调", f"把照片染成{zh}", f"用{zh}的光照亮", f"使用{zh}滤镜", f"让整体偏{zh}"),
    )


CLAUSES: dict[str, Clauses] = {
    **{key: value for name, (en, zh) in _COMPARATIVES.items() for key, value in _graded(name, en, zh).items()},
    **{f"tone {name}": clauses for name, clauses in _PLAIN.items()},
    **{f"tone {en} tint": _tint(en, zh) for en, zh in _TINTS.items()},
}
