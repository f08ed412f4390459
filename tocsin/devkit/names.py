"""Lists the names and telephone areas of invented passengers."""

FIRST_NAMES = {
    "en": (
        "Ada", "Amelia", "Ben", "Chloe", "Daniel", "Ella", "Ethan", "Grace", "Harry", "Isla", "Jack",
        "James", "Leo", "Lily", "Mason", "Mia", "Noah", "Olivia", "Ruby", "Samuel", "Sophie", "Theo",
        "William", "Zoe",
    ),
    "de": (
        "Anna", "Ben", "Clara", "David", "Elias", "Emma", "Felix", "Greta", "Hannah", "Jakob", "Jonas",
        "Jürgen", "Katharina", "Lena", "Lukas", "Marie", "Max", "Mia", "Paul", "Sophie", "Stefan", "Tobias",
        "Ute", "Zoë",
    ),
    "es": (
        "Alejandro", "Ana", "Camila", "Carlos", "Carmen", "Diego", "Elena", "Hugo", "Inés", "Javier",
        "José", "Lucía", "Luis", "Manuel", "María", "Martín", "Mateo", "Nuria", "Pablo", "Pilar", "Sofía",
        "Valeria",
    ),
}  # fmt: skip

LAST_NAMES = {
    "en": (
        "Adams", "Baker", "Brown", "Carter", "Clark", "Davies", "Evans", "Green", "Hall", "Hughes", "Jones",
        "King", "Lewis", "Moore", "O'Neill", "Parker", "Reed", "Scott", "Smith", "Taylor", "Walker", "Young",
    ),
    "de": (
        "Bauer", "Becker", "Fischer", "Graf", "Groß", "Hofer", "Huber", "Keller", "Koch", "Köhler", "Lang",
        "Maier", "Müller", "Richter", "Schäfer", "Schmidt", "Schneider", "Schwarz", "Vogel", "Weber", "Wolf",
    ),
    "es": (
        "Álvarez", "Castro", "Cruz", "Díaz", "Fernández", "García", "Gómez", "Hernández", "López", "Martín",
        "Morales", "Muñoz", "Núñez", "Ortega", "Pérez", "Ramos", "Rivera", "Romero", "Ruiz", "Torres",
        "Vega",
    ),
}  # fmt: skip

US_AREA_CODES = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229,
    231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304,
    305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 334, 336, 337,
    339, 347, 351, 352, 360, 361, 385, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415,
    417, 419, 423, 424, 425, 430, 432, 434, 435, 440, 443, 469, 470, 478, 479, 480,
)  # fmt: skip
