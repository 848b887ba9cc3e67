"""Whether a text is in the language of what it was made from."""

import subprocess
import sys

import pytest

from curation.synthesis.language import is_foreign

ENGLISH = "why did the boy run behind the sofa. to catch the ball. to hide from the girl. it rains. the dog barks at him."
SPOKEN = {
    "English": ("The boy runs behind the sofa, and then the girl throws the ball to him.", "an old man sits on a bench and reads the paper"),
    "Chinese": ("男孩跑到沙发后面,然后女孩把球扔给了他。", "视频里可以看到一位老人坐在长椅上看报纸。"),
    "German": ("Der Junge läuft hinter das Sofa, und danach wirft ihm das Mädchen den Ball zu.", "Im Video sieht man einen älteren Mann, der Zeitung liest."),
    "French": ("Le garçon court derrière le canapé, puis la fille lui lance le ballon.", "On voit un vieil homme assis sur un banc qui lit son journal."),
    "Spanish": ("El niño corre detrás del sofá y luego la niña le lanza la pelota.", "En el vídeo se ve a un hombre mayor leyendo el periódico en un banco."),
    "Japanese": ("男の子がソファの後ろに走り、そのあと女の子がボールを投げます。", "動画では、年配の男性がベンチに座って新聞を読んでいます。"),
    "Korean": ("소년이 소파 뒤로 달려가고 그 다음에 소녀가 공을 던져 줍니다.", "영상에서 노인이 벤치에 앉아 신문을 읽고 있는 모습이 보입니다."),
    "Russian": ("Мальчик бежит за диван, а потом девочка бросает ему мяч.", "На видео видно, как пожилой мужчина сидит на скамейке и читает газету."),
    "Hindi": ("लड़का सोफे के पीछे दौड़ता है और फिर लड़की उसे गेंद फेंकती है।", "वीडियो में एक बूढ़ा आदमी बेंच पर बैठकर अखबार पढ़ता दिखता है।"),
    "Arabic": ("يركض الولد خلف الأريكة ثم ترمي الفتاة الكرة إليه.", "يظهر في الفيديو رجل مسن يجلس على مقعد ويقرأ الجريدة."),
}


@pytest.mark.parametrize("language", SPOKEN)
def test_a_text_is_foreign_to_every_language_but_its_own(language: str) -> None:
    for other, (_, words) in SPOKEN.items():
        assert is_foreign(SPOKEN[language][0], words) is (other != language)


def test_a_text_that_turns_to_another_language_is_foreign_and_one_that_quotes_is_not() -> None:
    english, chinese = SPOKEN["English"][0], SPOKEN["Chinese"][0]
    assert is_foreign(f"{english}\n{chinese}", ENGLISH) is True
    assert is_foreign(f"{english} {english} {english} The sign says “出口” and “Bitte nicht stören”.", ENGLISH) is False
    assert is_foreign(f"{english} {english} {english} He says: “{SPOKEN['German'][1]}”", ENGLISH) is False


def test_short_texts_names_and_short_questions_are_not_judged() -> None:
    for text in ("Ja, der Junge.", "男孩跑", "", "1, 2, 3, 4, 5, 6, 7"):
        assert is_foreign(text, ENGLISH) is None
    assert is_foreign(SPOKEN["German"][0], "who sings") is None


def test_names_and_numbers_do_not_make_a_text_foreign() -> None:
    assert is_foreign("Rajesh Koothrappali and Søren Kierkegaard meet José Ángel at the Champs-Élysées in Paris at 12:30.", ENGLISH) is False


def test_the_model_is_loaded_only_when_a_text_is_judged() -> None:
    told = "import sys, curation.synthesis.language; sys.exit(any(name.startswith('py3langid') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


def test_a_text_in_the_words_of_its_source_needs_no_model_and_one_in_others_does() -> None:
    for words, loaded in (("The boy did run behind the sofa to catch the ball, and the dog barks at him.", False), (SPOKEN["German"][0], True)):
        judge = f"from curation.synthesis.language import is_foreign; is_foreign({words!r}, {ENGLISH!r})"
        asked = f"import sys; {judge}; sys.exit('py3langid' in sys.modules)"
        assert bool(subprocess.run([sys.executable, "-c", asked], check=False).returncode) is loaded
