"""The texts in the chats of the tests: everyday sentences, in many scripts."""

from __future__ import annotations

SENTENCES = (
    # Russian
    "Доброе утро всем!",
    "Кто едет первым автобусом?",
    "Огурцы уже взошли, поливайте понемногу",
    "Ключ лежит под цветочным горшком",
    "Ёлку нарядим в субботу",
    # Ukrainian, Bulgarian, Serbian
    "Їжак знову прийшов у сад",
    "Кафето е готово, заповядайте",
    "Љубица носи колаче",
    # English
    "The kettle is on",
    "Has anyone seen the blue umbrella?",
    "I'll bring the map & two torches",
    "It's raining again, let's stay in",
    # German, Dutch, Danish, Icelandic
    "Der Zug hat zwölf Minuten Verspätung",
    "Wir treffen uns an der großen Straße",
    "De fietsen staan achter het huis",
    "Vi ses på broen klokken ni",
    "Það er hlýtt í dag",
    # French, Spanish, Portuguese, Catalan
    "À table, la soupe est prête",
    "Le gâteau est encore chaud",
    "¿Quién trae las mandarinas?",
    "Mañana abrimos a las ocho",
    "O pão acabou de sair do forno",
    "El col·legi obre dilluns",
    # Polish, Czech, Hungarian, Finnish, Lithuanian
    "Łódka czeka przy pomoście",
    "Příští neděli jdeme na houby",
    "Az őszibarack már érett",
    "Järven jää on vielä ohutta",
    "Ežeras šiandien ramus",
    # Turkish, Azerbaijani, Vietnamese
    "İskelede buluşalım, çay sıcak",
    "Işık hâlâ açık",
    "Bağda üzüm yetişib",
    "Trời hôm nay đẹp quá",
    # Greek
    "Το καράβι φεύγει στις έξι",
    "Ο ουρανός είναι καθαρός",
    # Right to left: Arabic, Persian, Urdu, Hebrew, Yiddish
    "الشاي جاهز، تفضلوا",
    "نلتقي عند النافورة",
    "می‌رویم کنار رودخانه",
    "کتاب میز پر ہے",
    "הגשם נפסק, אפשר לצאת",
    "דער טיי איז הייס",
    # Of India: Hindi, Bengali, Tamil, Telugu, Punjabi
    "आज मौसम बहुत अच्छा है",
    "नदी के पास मिलते हैं",
    "বাগানে ফুল ফুটেছে",
    "மழை நின்றுவிட்டது",
    "మామిడి పండ్లు వచ్చాయి",
    "ਚਾਹ ਤਿਆਰ ਹੈ",
    # Thai, Lao, Khmer, Burmese
    "วันนี้ตลาดเปิดเช้า",
    "ເຮືອອອກຕອນບ່າຍ",
    "ទឹកត្រជាក់ណាស់",
    "လက်ဖက်ရည် ရပြီ",
    # Chinese, Japanese, Korean
    "晚上一起去河边散步吧",
    "圖書館今天關門",
    "電車が少し遅れています",
    "ラーメンを食べに行きましょう",
    "우산을 꼭 챙기세요",
    "도서관 앞에서 만나요",
    # Of the Caucasus, Ethiopia, Mongolia
    "მზე უკვე ამოვიდა",
    "ღვინო მაგიდაზეა",
    "Ծիրանը հասել է",
    "ቡናው ደርሷል",
    "Өглөө бүр цас орж байна",
    # Signs that mean something to a database, a shell, a browser or a program
    "Paint is 20% off until Friday",
    "100 % хлопок",
    "The file is called tomato_seeds_2024",
    "__init__ and __main__ are enough",
    "C# and F# in one evening",
    r"It is in C:\garden\photos",
    "if a < b && c > d: 'quoted', \"doubled\"; --",
    "https://example.com/paths?to=a#map",
    "mail to garden@example.com",
    "one\ttab\nand a second line",
    "e\u0301 and é look alike",
    # Emoji: of one sign and of many
    "🍉",
    "🍉🍉 for everybody",
    "👩‍🌾 and 👨‍👩‍👧‍👦",
    "🇬🇪 🇯🇵 🏴󠁧󠁢󠁷󠁬󠁳󠁿",
    "👍🏽",
    "⭐️⭐️⭐️",
)

HASHTAGS = (
    *("#поход", "#Поход", "#сад2024", "#книги", "#їжак"),
    *("#garden", "#Garden", "#release_2", "#C", "#2024"),
    *("#straße", "#été", "#mañana", "#İstanbul", "#şehir"),
    *("#κήπος", "#حديقة", "#گل‌ها", "#גינה", "#बगीचा", "#สวน"),
    *("#花园", "#電車", "#ラーメン", "#정원", "#ბაღი", "#այգի", "#ሻይ"),
)

#: Texts in which the sign of a hashtag begins none.
NO_HASHTAGS = ("a#b", "##two", "&#39;", "#")

CHAT_NAMES = (
    *("Огород", "Поход", "Книжный клуб", "Сусіди"),
    *("Garden", "Trains", "Morning walks", "Straßenfest", "Été", "Mercado", "Komşular"),
    *("Κήπος", "الجيران", "שכנים", "पड़ोसी", "ตลาด"),
    *("散步", "電車", "이웃", "მეზობლები", "Այգի", "🍉"),
)

FILE_NAMES = (
    *("report_{}.bin", "map {}.pdf", "Tomatoes {}.XLSX", "семена_{}.txt"),
    *("Straße {}.odt", "100%_{}.zip", "電車 {}.csv", "חשבון {}.pdf"),
)
