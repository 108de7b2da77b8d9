"""Words of an instruction that may name a person, by how they are written; it errs towards finding too much.

In scripts with capitals: every word with a capital that does not begin a sentence, and one that does where it is no usual first word of an
instruction or where the next has a capital too. In Chinese, simplified or traditional: a frequent surname and one or two characters after
it, at the beginning or after a word such as 把, 给, 让, 在, 换成 or 去掉. Not seen: names in small letters, rare surnames, given names and
nicknames in Chinese.
Nothing here knows what columns say of the person; see `clearing.clean_text`.
"""

from __future__ import annotations

import re

_LETTER = r"(?:(?![\u3040-\u9fff])[^\W\d_])"
_WORD = re.compile(rf"{_LETTER}+(?:['’\-]{_LETTER}+)*")
_BEGINS = re.compile(r"(?:^|[.!?…:;])[\s\"'“‘«(\[]*\Z")

_USUAL = """
i'm i'd i'll i've ok t-shirt x-ray v-neck tv led usa uk eu hd hdr rgb ai dslr cgi png jpg jpeg diy dj ceo monday tuesday wednesday
thursday friday saturday sunday january february march july september october november december christmas
halloween easter thanksgiving english chinese japanese french german italian spanish american european african asian
victorian gothic renaissance baroque
"""
"""With a capital in the middle of a sentence, and yet nobody's name."""

_FIRST = """
a above add adjust age all also alter an and animate another apply around as at background beautify blend blur brighten bring
brush but can change clean clear close color colorize colour combine convert copy could cover create crop cut darken decrease delete
desaturate digitally dim do don't draw dress drop dye edit eliminate emphasize enhance enlarge erase exchange expand extend extract
fade fill fix flip for from generate get give go have he hello help her here hi hide highlight his how i i'd i'm i've if illuminate
imagine improve in include increase insert instead intensify introduce invert it it's its just keep kindly leave let let's lift
light lighten lower make mask may merge mirror modify move my need no now of on only open our outline overlay paint photoshop
pixelate place please polish pose position preserve produce put raise re-color recolor recolour redesign reduce refine reflect
relight remove render repaint replace rescale reshape resize restore restyle retouch return reverse rewrite rotate saturate scale
set shade shape sharpen she shift should show shrink simulate sketch slim smooth smoothen so soften some spell straighten style
stylise stylize substitute swap switch take than thank thanks that the their them then there these they this those tilt tint to tone
transfer transform translate trim try tune turn unblur update use warm wash we what when where wipe with without would write you
your
"""
"""How instructions and their sentences usually begin."""

_SURNAMES = (
    "欧阳|司马|上官|诸葛|夏侯|皇甫|尉迟|公孙|慕容|令狐|司徒|端木|"
    "[王李张刘陈杨赵吴周徐孙朱胡郭何罗高林郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘袁董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚"
    "金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚黄马方]"
)
_THINGS = (
    "周[围边]|胡[子须萝]|高[大楼山光级跟清度架处]|林[中间荫]|马[路车匹戴赛上尾]|方[形块向格]|田[野地园]|江[边水面南上]|叶[子片]|毛[衣巾发笔绒茸毯线玻]|"
    "牛[仔奶角皮排]|石[头块墙板柱像膏狮榴]|熊[猫耳]|白[色天云雪墙板纸底鸽马猫狗花兔裙衣帽鹅鸟发纱人]|黄[色金昏油花铜头]|金[色属鱼黄发毛币字银光头]|"
    "夏[天季日夜]|雷[电雨达]|龙[头卷虾]|段落|孔雀|常[见春]|万[里圣]|钟[表楼]|钱[包币袋]|武[器士]|史前|严[肃重]|洪水|任[何务意]|戴[上着]|许多|姜饼|"
    "唐[装朝代]|宋[体朝代]|王[冠子座]|谢谢|李子|杨[树柳]|陈[旧列]|韩[式国系]|范围"
)
"""Frequent words that begin like a name."""

_CHINESE = re.compile(
    rf"(?:^|[把给让将叫请帮替为和与跟及对像掉除去是成在用加到\s，。！？；：、“‘「《（,.!?;:\"'(]|[加画换]上)((?!{_THINGS})(?:{_SURNAMES})[\u4e00-\u9fff]{{1,2}})"
)


_SIMPLIFIED = str.maketrans(
    "張劉陳楊趙吳孫馬羅鄭謝許鄧馮韓蕭蘇葉呂蔣鍾鐘盧陸譚韋賈鄒閻龍萬顧賴賀嚴錢龔黃歐陽諸遲給讓將請幫為與對園圍鬚樓級處間蔭車賽塊筆絨線雲頭牆闆獅"
    "貓紙鴿鳥紗屬魚髮發幣銀電達捲蝦見聖錶務體裝舊樹國係",
    "张刘陈杨赵吴孙马罗郑谢许邓冯韩萧苏叶吕蒋钟钟卢陆谭韦贾邹阎龙万顾赖贺严钱龚黄欧阳诸迟给让将请帮为与对园围须楼级处间荫车赛块笔绒线云头墙板狮"
    "猫纸鸽鸟纱属鱼发发币银电达卷虾见圣表务体装旧树国系",
)
"""Traditional characters that the patterns above have in their simplified form, one for one."""

_USUAL_WORDS, _FIRST_WORDS = frozenset(_USUAL.split()), frozenset(_FIRST.split())


def find_names(text: str) -> list[str]:
    """What may be a name: first what is written with capitals, then what is Chinese."""
    found = []
    for run in _list_runs(text):
        words = [word[0] for word in run]
        if _BEGINS.search(text[: run[0].start()]) and words[0].lower() in _FIRST_WORDS:
            words = words[1:]
        if any(len(word) > 1 and word.lower() not in _USUAL_WORDS for word in words):
            found.append(" ".join(words))
    return found + [text[match.start(1) : match.end(1)] for match in _CHINESE.finditer(text.translate(_SIMPLIFIED))]


def _list_runs(text: str) -> list[list[re.Match[str]]]:
    """Words with a capital, those together that only a blank parts."""
    runs: list[list[re.Match[str]]] = []
    for word in _WORD.finditer(text):
        if not word[0][0].isupper():
            continue
        if runs and text[runs[-1][-1].end() : word.start()] == " ":
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs
