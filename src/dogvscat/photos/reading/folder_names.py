"""What folder names mean: the words for cat, dog and the splits in many languages, and folders that systems create.

Only tables. `layout.py` compares names with them: without regard to case, to accents that Latin, Greek and Cyrillic
letters may lose on the way (`Katzchen`), and to how Unicode composes a letter.
"""

CAT, DOG = "cat", "dog"

PLAIN_WORDS = {"cat": CAT, "cats": CAT, "dog": DOG, "dogs": DOG}
"""Always read as cat and dog. The words below are read as cat or dog only where folders of both animals lie side by
side. So `pies` means dogs next to `koty`, but not next to `cakes`, and `kitten` next to `cat` is a class of its own."""

_WORDS_BY_LANGUAGE = {
    "English": ("kitten, kittens, kitty, kitties", "puppy, puppies, pup, pups, doggy, doggies"),
    "German": (
        "Katze, Katzen, Kater, Kätzchen, Kaetzchen, Kätzlein, Mieze, Miezen",
        "Hund, Hunde, Hündin, Hündinnen, Huendin, Hündchen, Huendchen, Hündlein, Welpe, Welpen",
    ),
    "French": (
        "chat, chats, chatte, chattes, chaton, chatons, minou",
        "chien, chiens, chienne, chiennes, chiot, chiots, toutou",
    ),
    "Spanish": (
        "gato, gatos, gata, gatas, gatito, gatitos, gatita, gatitas, minino",
        "perro, perros, perra, perras, perrito, perritos, perrita, perritas, cachorro, cachorros",
    ),
    "Catalan": ("gat, gats, gatet, gatets", "gos, gossos, gosset, gossets"),
    "Italian": (
        "gatto, gatti, gatta, gatte, gattino, gattini, gattina, gattine, micio, mici",
        "cane, cani, cagna, cagne, cagnolino, cagnolini, cagnolina, cagnoline",
    ),
    "Portuguese": (
        "gatinho, gatinhos, gatinha, gatinhas",
        "cão, cães, cadela, cadelas, cachorra, cachorrinho, cachorrinhos, cãozinho, cãezinhos",
    ),
    "Romanian": ("pisică, pisici, pisicuță, pisoi, motan", "câine, câini, cățel, căței, cățeluș, cățeluși"),
    "Dutch": ("kat, katten, poes, poezen, katje, katjes, poesje, poesjes", "hond, honden, hondje, hondjes"),
    "Swedish": ("katt, katter, kattunge, kattungar, kisse", "hund, hundar, valp, valpar, hundvalp, hundvalpar"),
    "Danish": ("katte, killing, killinger, kattekilling, kattekillinger", "hvalp, hvalpe, hundehvalp, hundehvalpe"),
    "Norwegian": ("kattunger, kattepus", "hunder, valper, hundevalp, hundevalper"),
    "Icelandic": ("köttur, kettir, kettlingur, kettlingar", "hundur, hvolpur, hvolpar"),
    "Finnish": ("kissa, kissat, kisu, kisut, kissanpentu, kissanpennut", "koira, koirat, koiranpentu, koiranpennut"),
    "Estonian": ("kass, kassid, kassipoeg, kassipojad", "koer, koerad, kutsikas, kutsikad"),
    "Latvian": ("kaķis, kaķi, kaķēns, kaķēni", "suns, suņi, kucēns, kucēni"),
    "Lithuanian": ("katė, katės, katinas, katinai, kačiukas, kačiukai", "šuo, šunys, šuniukas, šuniukai"),
    "Polish": ("kot, koty, kotek, kotki, kotka, kocię, kocięta", "pies, psy, piesek, pieski, szczeniak, szczeniaki"),
    "Czech": (
        "kočka, kočky, kocour, kocouři, kočička, kočičky, kotě, koťata",
        "pes, psi, pejsek, pejsci, štěně, štěňata",
    ),
    "Slovak": ("mačka, mačky, mačiatko, mačiatka", "psík, psíky, šteniatko, šteniatka"),
    "Croatian, Serbian, Slovene": (
        "mačke, mače, mačići, maček, muca, muce, мачка, мачке, маче, мачићи",
        "pas, psić, psići, štene, štenci, psiček, kuža, пас, пси, штене, штенци",
    ),
    "Hungarian": ("macska, macskák, cica, cicák, kiscica, kiscicák", "kutya, kutyák, kutyus, kutyusok, kiskutya"),
    "Turkish": ("kedi, kediler, kedicik, yavru kedi", "köpek, köpekler, köpecik, yavru köpek"),
    "Russian": (
        "кошка, кошки, кот, коты, котик, котики, кошечка, киска, котёнок, котята, koshka, koshki",
        "собака, собаки, пёс, псы, пёсик, пёсики, собачка, собачки, щенок, щенки, щенята, sobaka, sobaki",
    ),
    "Ukrainian": ("кішка, кішки, кіт, коти, кицька, кошеня, кошенята", "песик, песики, цуценя, цуценята"),
    "Bulgarian": ("котка, котки, котарак, котенце, котенца", "куче, кучета, кученце, кученца"),
    "Greek": (
        "γάτα, γάτες, γάτος, γάτοι, γατάκι, γατάκια",
        "σκύλος, σκύλοι, σκυλί, σκυλιά, σκυλάκι, σκυλάκια, κουτάβι",
    ),
    "Arabic": ("قط, قطة, قطه, قطط, القطط, هرة, قطيطة", "كلب, كلبة, كلاب, الكلاب, جرو, جراء"),
    "Persian": ("گربه, گربه‌ها, بچه گربه", "سگ, سگ‌ها, توله سگ"),
    "Hebrew": ("חתול, חתולה, חתולים, חתולות, חתלתול, חתלתולים", "כלב, כלבה, כלבים, כלבות, כלבלב, כלבלבים"),
    "Hindi": ("बिल्ली, बिल्लियाँ, बिल्लियां, बिल्ला, billi", "कुत्ता, कुत्ते, कुतिया, पिल्ला, पिल्ले, kutta"),
    "Bengali": ("বিড়াল, বিড়ালছানা", "কুকুর, কুকুরছানা"),
    "Tamil, Telugu": ("பூனை, பூனைகள், పిల్లి, పిల్లులు", "நாய், நாய்கள், కుక్క, కుక్కలు"),
    "Thai": ("แมว, ลูกแมว", "หมา, สุนัข, ลูกหมา, ลูกสุนัข"),
    "Chinese": ("猫, 猫咪, 小猫, 貓, 貓咪, 小貓", "狗, 小狗, 狗狗, 犬"),
    "Japanese": ("ねこ, ネコ, 子猫, 仔猫, 猫ちゃん, neko", "いぬ, イヌ, 子犬, 仔犬, 犬ちゃん, ワンコ, inu"),
    "Korean": ("고양이, 고양이들, 새끼 고양이, 새끼고양이, 냥이", "개, 개들, 강아지, 강아지들, 멍멍이"),
    "Indonesian, Malay": ("kucing, kucing kucing, anak kucing", "anjing, anjing anjing, anak anjing"),
    "Filipino": ("pusa, mga pusa, kuting", "aso, mga aso, tuta"),
    "Vietnamese": ("mèo, con mèo, mèo con", "chó, con chó, chó con, cún"),
    "scientific": ("Felis catus, Felis silvestris catus", "Canis familiaris, Canis lupus familiaris"),
}
ANIMAL_WORDS = [
    (word, animal)
    for words in _WORDS_BY_LANGUAGE.values()
    for animal, listed in zip((CAT, DOG), words, strict=True)
    for word in listed.split(", ")
]
"""Each word with its animal."""

TRAIN, VALIDATION, EVALUATION, TEST = "train", "validation", "evaluation", "test"
"""What a folder for a split may be for. EVALUATION stands for validation or test, whichever the other folders lack."""

SPLIT_WORDS = {
    TRAIN: "train, training, trainval, entrenamiento, entraînement, apprentissage, addestramento, allenamento, treino, "
    "treinamento, antrenament, trening, träning, træning, koulutus, trénink, trénování, trenowanie, eğitim, обучение, "
    "тренировка, навчання, тренування, εκπαίδευση, تدريب, אימון, प्रशिक्षण, 训练, 训练集, 訓練, 訓練集, 学習, 훈련, "
    "학습, latih, pelatihan, huấn luyện",
    VALIDATION: "val, valid, validation, validate, validating, dev, devel, development, validierung, validación, "
    "validazione, validação, validare, validatie, validering, validointi, validace, walidacja, doğrulama, валидация, "
    "валідація, επικύρωση, תיקוף, אימות, تحقق, सत्यापन, 验证, 验证集, 驗證, 驗證集, 検証, 검증, validasi, xác thực",
    EVALUATION: "eval, evaluation, evaluate, evaluating",
    TEST: "test, testing, tests, holdout, heldout, prueba, pruebas, prova, teste, testes, testi, testy, testování, "
    "testowanie, тест, тестирование, тестування, δοκιμή, اختبار, בדיקה, מבחן, परीक्षण, 测试, 测试集, 測試, 測試集, "
    "テスト, 테스트, 시험, uji, pengujian, kiểm tra",
}
FILLER_WORDS = frozenset(
    [
        *("set", "sets", "data", "dataset", "split", "fold", "folder", "dir", "part"),
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pics"),
    ]
)
"""They may stand next to the word of a split: `training_set`, `val images`, `testdata`."""

SYSTEM_FOLDERS = frozenset(
    [
        *("__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler"),
        *("system volume information", "lost+found", "found.000", "network trash folder", "temporary items"),
    ]
)
"""Folders of macOS, Windows, Linux and of network storage, in lower case: thumbnails, deleted files, earlier versions.
None of their pictures is one of the user's photos."""

ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
