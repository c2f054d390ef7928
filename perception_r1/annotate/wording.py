"""The words by which a text shows that it sees, concludes, is told, or knows: in nine languages.

A conclusion is what stands behind THUS, or behind the comma of a clause with SINCE; a theorem's name makes a whole
sentence one. What the text says that it sees is none, whatever stands before it.
"""

import re

_I = re.IGNORECASE

THUS = re.compile(
    r"\b(?:so(?! far| called)(?= |,)|therefore|thus|hence|then|consequently|accordingly|it follows(?: that)?|"
    r"(?:which|this|that) (?:gives|means|implies|yields|makes)|yields?|impl(?:y|ies|ying)|we (?:get|find|have|obtain)|"
    r"must be|meaning|by subtraction|gives us|"
    r"(?:solving|multiplying|dividing|adding|subtracting|setting|substituting|simplifying|plugging in)(?=[ ,]|$)|"
    r"also ist|also gilt|also|daher|somit|folglich|deshalb|daraus folgt|"
    r"donc|ainsi|on obtient|on en déduit|d['’]où|par conséquent|"
    r"por lo tanto|por tanto|entonces|luego|así que|por consiguiente|se obtiene|"
    r"da cui|portanto|logo|então|obtém-se|"
    r"quindi|dunque|perciò|pertanto|si ottiene|allora|"
    r"значит|следовательно|поэтому|итак|тогда|получаем)(?!\w)"
    r"|所以|因此|因而|从而|于是|可得|故(?!意|事)|则|よって|したがって|ゆえに|だから",
    _I,
)
INSIDE = re.compile(  # these stand within what they conclude: "the triangle is therefore isosceles"
    r"(?<![,;])(?<!\band)(?<!\bund)(?<!\bet)(?<!\be)(?<!\by) "
    r"(?:therefore|thus|hence|consequently|daher|somit|folglich|deshalb|donc|ainsi|quindi|dunque|pertanto|portanto)$",
    _I,
)
SINCE = re.compile(
    r"^\W*(?:since|because|as (?=\w+ (?:is|are|bisects?|lies?)\b)|given that|"
    r"weil|da(?= (?!cui\b))|denn|puisque|parce que|comme(?= )|porque|ya que|puesto que|como(?= )|"
    r"pois|uma vez que|já que|poiché|perché|siccome|dato che|так как|поскольку|потому что)(?!\w)"
    r"|^\W*(?:因为|由于|なぜなら)",
    _I,
)
BEHIND = re.compile(r"\b(?:because|since|weil|denn|parce que|porque|ya que|perché|потому что)\b|因为", _I)
LAW = re.compile(
    r"\b(?:theorem|law (?:states?|says)|['’]s law|by (?:the )?(?:definition|propert\w+|law|pythagoras)|corollary|"
    r"by (?:sas|asa|sss|aas|aa|hl)\b|formula|satz (?:des|von)|théorème|teorema|formule|fórmula|теорем\w*|формул\w*)\b"
    r"|定理|公式|勾股",
    _I,
)
SEES = re.compile(
    r"\b(?:i (?:can )?(?:see|read|notice|count)|(?:we|one) (?:can )?(?:see|read)|looking at|reads?|shows?|shown|seen|"
    r"visible|labell?ed|labels?|marked|carries|dashed|shaded|drawn|"
    r"in the (?:figure|picture|image|diagram|drawing|graph|chart|table|map)|"
    r"from the (?:figure|picture|image|diagram|graph|chart|table)|figure|"
    r"im bild|in der (?:zeichnung|skizze|abbildung)|beschriftet|eingezeichnet|eingetragen|"
    r"(?:sur|dans) (?:la figure|le dessin|l['’]image)|on lit|porte la mention|"
    r"en la (?:figura|imagen)|marcado|na figura|vejo|no gráfico|nella figura|si vede|на рисунке|видно)\b"
    r"|图中|从图|图上|标出|标为|図から|読み取|印がある",
    _I,
)
LABELLED = re.compile(r"\b(?:labell?ed|label|marked|reads?|written|printed|beschriftet|titled?)\b|标", _I)
TOLD = re.compile(
    r"\b(?:given|as stated|we are told|(?:problem|question|text|statement) (?:says|states|tells|gives)|"
    r"gegeben|l['’]énoncé|enunciado|dal testo|по условию|дано)\b|题目|已知",
    _I,
)
RESULT = re.compile(  # what one works out and seldom reads off
    r"\b(?:area|volume|perimeter|slope|equation|average|mean|sum|difference|in total|total|altogether|growth|fraction|"
    r"percentage|sin|cos|tan|the answer|add(?:s|ing)? up|subtract\w*|comput\w*|calculat\w*|"
    r"insgesamt|flächeninhalt|umfang|aire|périmètre|área|perímetro|площадь|периметр)\b|面积|周长|体积|面積|总和|一共",
    _I,
)
EXTREME = re.compile(r"\b(?:maximum|minimum|largest|smallest|highest|lowest|most|least)\b", _I)

_SHAPE = (
    r"(?:triangle|rhombus|rectangle|square|parallelogram|trapezoid|trapezium|quadrilateral|polygon|pentagon|hexagon|circle|"
    r"cube|chord|tangent|perpendicular|bisector|diameter|radius|median|altitude|midsegment|diagonals?|angle|"
    r"dreieck|rechteck|quadrat|kreis|raute|trapez|carré|cercle|trapèze|losange|triángulo|cuadrado|rectángulo|círculo|"
    r"triângulo|quadrado|retângulo|triangolo|quadrato|rettangolo|cerchio|trapezio)"
)
KNOWLEDGE = re.compile(  # of things in general, not of this picture's
    r"^\W*(?:(?:any|every|all|opposite|alternate|corresponding|vertical|adjacent|interior|exterior|base|consecutive|"
    r"same-side|inscribed|tangent segments?|diagonals of|in (?:an?|any|every)|"
    r"the (?:sum|angles|sides|diagonals) of (?:the |an? |any )?)\b.*\b(?:is|are|bisects?|equals?|adds? up)\b"
    rf"|(?:an?|any|every) (?:\w+ ){{0,2}}{_SHAPE}\b(?!.*\b(?:is|are) (?:drawn|shown|visible)\b)"
    rf"|(?:ein|eine|jedes|jeder|jede|un|une|uma|um|una|ogni|tout|todo) {_SHAPE}\b)"
    rf"|\b{_SHAPE}['’]s (?:angles|sides|diagonals)|\bd['’]une? {_SHAPE}\b|\bde (?:un|una|um|uma) {_SHAPE}\b"
    r"|winkelsumme|scheitelwinkel|stufenwinkel|wechselwinkel|somme des angles|opposés par le sommet|alternes-internes|"
    r"suma de los ángulos|ángulos (?:alternos|opuestos|correspondientes)|"
    r"soma dos ângulos|ângulos (?:alternos|opostos|correspondentes)|"
    r"somma degli angoli|angoli (?:alterni|opposti|corrispondenti)|(?:è|es|é|est) la (?:metà|mitad|metade|moitié)|"
    r"сумма углов|вертикальные углы|накрест лежащие|соответственные углы|"
    r"内角和|同位角|内错角|对顶角|同旁内角|内角の和|錯角|対頂角",
    _I,
)
EQUATION = re.compile(  # something worked out before an equals sign: 12 − 9 = 3, z + 118 = 180, AB + CD = 9, 10² = 100
    r"(?:[\w)°²³%]\s*[+*/×÷·−⋅]\s*[\w(√\\]|\d\s*-\s*\d|\w\s+-\s+\w|√|\\sqrt|\\frac|[²³]|\^\s*\{?\d)[^=≈]*[=≈]"
)
WORKED = re.compile(r"[=≈]\s*(?:[^=≈,;]*?(?:[\w)°²³%]\s*[+*/×÷·−⋅]\s*[\w(√\\]|√|\\sqrt|\\frac|\d\s*-\s*\d))")
PARTS = re.compile(r"\b[A-Z]{2,}\s*[-+/−]\s*[A-Z]{2,}\b")  # AB + CD, AD/DB: lengths put together, never a label
BOUNDS = re.compile(r"^\W*\d+(?:\.\d+)?\s*(?:[<>≤≥=]|\\[lg]eq?)\s*\d+(?:\.\d+)?(?:\s*[<>≤≥]\s*\d+(?:\.\d+)?)*\W*$")
QUOTED = re.compile(
    r"(?<!\w)(['\"])(?!\s).*?\1|“.*?”|„.*?[“”]|‘.*?’|「.*?」|«.*?»"
)  # words in the picture conclude nothing
COMPARED = re.compile(
    r"\b(?:tall|long|short|larg|great|small|high|low|wid|bigg)(?:er|est)\b|"
    r"\b(?:more|less|fewer)\b.* than\b|\bequally\b",
    _I,
)
