"""How styles are asked for."""

from __future__ import annotations

from step1x_edit.data.instructions.grammar import Clauses


def _become(en: tuple[str, ...], zh: tuple[str, ...], *more: tuple[str, str]) -> Clauses:
    """Ways to say that the picture becomes something with these names, and further whole clauses (English, Chinese)."""
    english = [text for name in en for text in (f"make it {name}", f"turn the photo into {name}", f"redraw this as {name}")]
    chinese = [text for name in zh for text in (f"变成{name}", f"把照片转换成{name}", f"改成{name}的风格")]
    return Clauses((*english, *(pair[0] for pair in more)), (*chinese, *(pair[1] for pair in more)))


CLAUSES: dict[str, Clauses] = {
    "style pencil": _become(("a pencil sketch", "a pencil drawing"), ("铅笔素描", "铅笔画"), ("sketch it in pencil", "用铅笔画出来")),
    "style line art": _become(("line art", "a line drawing"), ("线稿", "线描画"), ("keep only black outlines", "只保留黑色轮廓线")),
    "style mosaic": _become(
        ("a mosaic", "big pixels", "pixel art"),
        ("马赛克", "大像素块", "像素画"),
        ("pixelate it", "把图片像素化"),
        ("make it blocky", "打上马赛克"),
    ),
    "style posterise": _become(
        ("a poster with few colours", "a posterised print"), ("色调分离的海报", "颜色很少的海报"), ("posterise it", "做色调分离")
    ),
    "style blur": Clauses(
        ("blur it", "make it blurry", "blur the photo", "put it out of focus", "apply a strong blur", "make the picture soft and unsharp"),
        ("模糊化处理", "变得模糊", "把照片模糊掉", "让画面失焦", "加上强烈的模糊", "让图片柔和不清晰"),
    ),
    "style oil painting": _become(("an oil painting", "a painting in oils"), ("油画", "油彩画"), ("paint it in oil", "用油画颜料画出来")),
    "style watercolour": _become(
        ("a watercolour", "a watercolor painting"), ("水彩画", "水彩"), ("paint it in watercolours", "用水彩画出来")
    ),
    "style cartoon": _become(("a cartoon", "a comic drawing"), ("卡通", "漫画"), ("cartoonise it", "把图片卡通化")),
    "style emboss": _become(("a grey relief", "an embossed picture"), ("灰色浮雕", "浮雕"), ("emboss it", "加上浮雕效果")),
    "style neon": _become(("neon lines", "glowing neon outlines"), ("霓虹线条", "发光的霓虹轮廓"), ("draw it in neon", "用霓虹灯线条勾勒")),
    "style negative": _become(
        ("a negative", "a photo negative"), ("负片", "底片"), ("invert the colours", "反转颜色"), ("invert it", "做反相处理")
    ),
    "style halftone": _become(("a halftone print", "newspaper dots"), ("半调网点印刷", "报纸网点"), ("print it with dots", "用网点印出来")),
    "style heat map": _become(
        ("a heat map", "a thermal image"), ("热力图", "热成像图"), ("show it in thermal colours", "用热成像颜色显示")
    ),
    "style pop art": _become(("pop art", "a pop art print"), ("波普艺术", "波普版画"), ("make it pop art style", "做成波普艺术风格")),
    "style duotone blue yellow": _become(("a blue and yellow duotone",), ("蓝黄双色调",), ("use only blue and yellow", "只用蓝色和黄色")),
    "style duotone red white": _become(("a red and white duotone",), ("红白双色调",), ("use only red and white", "只用红色和白色")),
    "style duotone purple orange": _become(
        ("a purple and orange duotone",), ("紫橙双色调",), ("use only purple and orange", "只用紫色和橙色")
    ),
    "style duotone green white": _become(("a green and white duotone",), ("绿白双色调",), ("use only green and white", "只用绿色和白色")),
}
