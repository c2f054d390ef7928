"""The words by which a text shows that it sees, concludes, is told, or knows: in a dozen languages.

A conclusion is what stands behind THUS, or behind the comma of a clause with SINCE; a theorem's name makes a whole
sentence one. What the text says that it sees is none, whatever stands before it.
"""

import re

_I = re.IGNORECASE

THUS = re.compile(
    r"\b(?:so(?! far| called)(?= |,)|therefore|thus|hence|then|consequently|accordingly|it follows(?: that)?|"
    r"(?:which|this|that) (?:gives|means|implies|yields|makes)|yields?|impl(?:y|ies|ying)|we (?:get|find|have|obtain)|"
    r"must|would|will(?= be)|meaning|making|leaving|giving|by subtraction|gives us|leaves|in turn|"
    r"(?:comes?|works?|turns?) out|(?:comes?|amounts?|adds?|sums?) (?:up )?to|conclud\w+|deduc\w+|infer\w*|"
    r"(?:solving|multiplying|dividing|adding|subtracting|setting|substituting|simplifying|plugging in)(?=[ ,]|$)|"
    r"(?<!\w )also(?= \w)|daher|somit|folglich|deshalb|daraus|damit|dadurch|demnach|ergibt|ergeben|folgt|muss|"
    r"donc|ainsi|on (?:obtient|trouve|conclut)|on en déduit|d['’]où|par conséquent|alors|il reste|il vient|dès lors|"
    r"por lo tanto|por tanto|entonces|luego|así que|por consiguiente|se obtiene|de ahí|resulta|de modo que|queda|"
    r"da cui|portanto|logo|então|obtém-se|donde|segue|assim|"
    r"quindi|dunque|perciò|pertanto|si ottiene|allora|ricav\w+|ne segue|risulta|"
    r"dus|daarom|dan|zodat|hieruit|więc|zatem|stąd|dlatego|czyli|"
    r"значит|следовательно|поэтому|итак|тогда|получа\w+|отсюда|выходит)(?!\w)"
    r"|所以|因此|因而|从而|于是|可[得知]|得[到出]|推出|故(?!意|事)|则|よって|したがって|従って|ゆえに|だから|つまり|すると"
    r"|따라서|그러므로|그래서|[⇒⟹∴]|=>",
    _I,
)
INSIDE = re.compile(  # these stand within what they conclude: "the triangle is therefore isosceles"
    r"(?<![,;])(?<!\band)(?<!\bund)(?<!\bet)(?<!\be)(?<!\by) "
    r"(?:therefore|thus|hence|consequently|daher|somit|folglich|deshalb|donc|ainsi|quindi|dunque|pertanto|portanto)$"
    # and verbs, which stand behind what they say it of: "angle B comes out to 40"
    r"|(?:must|would|will|leaves|muss|ergibt|ergeben|resulta|queda|risulta|получа\w+|выходит|"
    r"(?:comes?|works?|turns?) out|(?:comes?|amounts?|adds?|sums?) (?:up )?to)$",
    _I,
)
SINCE = re.compile(
    r"^\W*(?:since|because|as (?=\w+ (?:is|are|bisects?|lies?)\b)|given that|"
    r"weil|da(?= (?!cui\b))|denn|puisque|parce que|comme(?= )|porque|ya que|puesto que|como(?= )|"
    r"pois|uma vez que|já que|poiché|perché|siccome|dato che|omdat|aangezien|ponieważ|так как|поскольку|"
    r"потому что)(?!\w)"
    r"|^\W*(?:因为|由于|なぜなら)|(?:ので|ため|므로|니까|때문에)\W*$|より$",
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
    r"visible|labell?ed|labels?|marked|carries|dashed|shaded|drawn|written|printed|indicates?d?|"
    r"in the (?:figure|picture|image|diagram|drawing|graph|chart|table|map)|"
    r"from the (?:figure|picture|image|diagram|graph|chart|table|sketch)|figure|"
    r"the (?:figure|picture|image|diagram|drawing|sketch) (?:\w+ )?(?:gives|has)|"
    r"im bild|(?:in|auf|aus) der (?:zeichnung|skizze|abbildung|figur)|beschriftet|eingezeichnet|eingetragen|angegeben|"
    r"ich (?:lese|sehe)|man (?:liest|sieht|erkennt)|"
    r"(?:sur|dans|d['’]après) (?:la figure|le dessin|l['’]image|le schéma)|on (?:lit|voit|observe)|porte la mention|"
    r"étiqueté\w*|"
    r"en (?:la (?:figura|imagen|gráfica)|el (?:dibujo|gráfico))|se (?:observa|ve)|marcad[oa]|na (?:figura|imagem)|vejo|"
    r"no (?:gráfico|desenho)|nel(?:la figura| disegno| grafico)|si (?:vede|legge)|in de (?:tekening|figuur)|"
    r"на (?:рисунке|чертеже)|видно|подписан\w*|обозначен\w*)\b"
    r"|图中|从图|图上|标[出为注着]|図(?:から|では|を見る|に)|読み取|書かれて|印がある|그림|표시",
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
    r"内角和|同位角|内错角|对顶角|同旁内角|内角の和|錯角|対頂角|내각의 합|엇각|동위각",
    _I,
)
EQUATION = re.compile(  # something worked out before an equals sign: 12 − 9 = 3, z + 118 = 180, AB + CD = 9, 10² = 100
    r"(?:[\w)°²³%]\s*[+*/×÷·−⋅]\s*[\w(√\\]|\d\s*-\s*\d|\w\s+-\s+\w|√|\\sqrt|\\frac|[²³]|\^\s*\{?\d)[^=≈]*[=≈]"
)
WORKED = re.compile(r"[=≈]\s*(?:[^=≈,;]*?(?:[\w)°²³%]\s*[+*/×÷·−⋅]\s*[\w(√\\]|√|\\sqrt|\\frac|\d\s*-\s*\d))")
PARTS = re.compile(r"\b[A-Z]{2,}\s*[-+/−]\s*[A-Z]{2,}\b")  # AB + CD, AD/DB: lengths put together, never a label
BOUNDS = re.compile(r"^[^\w∠]*\d+(?:\.\d+)?\s*(?:[<>≤≥=]|\\[lg]eq?)\s*\d+(?:\.\d+)?(?:\s*[<>≤≥]\s*\d+(?:\.\d+)?)*\W*$")
QUOTED = re.compile(
    r"(?<!\w)(['\"])(?!\s).*?\1|“.*?”|„.*?[“”]|‘.*?’|「.*?」|«.*?»"
)  # words in the picture conclude nothing
COMPARED = re.compile(  # also for "the hottest": nobody can list all adjectives
    r"\b(?:[a-z]{3,}(?:er|ier)|more|less|fewer)\b(?= .*\bthan\b)|\bthe [a-z]{3,}est\b|\bexceeds?\b|"
    r"\b(?:tall|long|short|larg|great|small|high|low|wid|bigg)(?:er|est)\b|"
    r"\b(?:more|less|fewer)\b.* than\b|\bequally\b",
    _I,
)
RANKED = re.compile(r"\bthan\b|\b(?:is|are|was|were|has|have) the (?:[a-z]{3,}est|most|least)\b|\bexceeds?\b", _I)
