"""Routes of the API for consignments between stores: sent under a seal, received, disputed, settled, recalled."""

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.domain.stock import parse_ranges
from uec.services import stock_intake, stock_lists, stock_transfers
from uec.services.rows import present
from uec.services.stock_ledger import Wanted
from uec.services.stock_transfers import Found
from uec.services.views import Page
from uec.store.tables import StockTransfer
from uec.web.access import current_actor, needs
from uec.web.api import detail_schemas, schemas
from uec.web.api.routes import Values, at, gives, takes
from uec.web.context import database, now, reader

VIEWERS = (Permission.KEEP_STOCK, Permission.VIEW_STOCK)
HERE = "/stock/consignments"
ONE = f"{HERE}/<int:transfer_id>"


@at("/stock/stores", secured=True)
@gives(200, detail_schemas.StoreOutput(many=True))
@needs(*VIEWERS)
def list_stores() -> object:
    """List the stores of blanks."""
    return stock_intake.list_stores(reader())


@at(HERE, secured=True)
@takes(schemas.PageInput, "query")
@gives(200, schemas.paged(detail_schemas.TransferOutput))
@needs(*VIEWERS)
def list_consignments(values: Values) -> Page[StockTransfer]:
    """List consignments, the newest first."""
    return stock_transfers.list_transfers(reader(), limit=values["limit"], offset=values["offset"])


@at(HERE, "POST", secured=True)
@takes(detail_schemas.SendInput)
@gives(201, detail_schemas.TransferOutput)
@needs(Permission.KEEP_STOCK)
def send_consignment(values: Values) -> StockTransfer:
    """Send blanks of one store under a seal to another; a seal is used once."""
    numbers = [one["box"] for one in values["contents"]]
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        said = f"Box {twice} is named twice: name each box once, with all that is sent of it."
        raise InvalidInput(said, field="box", errors={"box": said})
    boxes = stock_lists.boxes_of_numbers(reader(), numbers)
    contents = [
        Wanted(box, one["count"], tuple(parse_ranges(one["chips"])))
        for box, one in zip(boxes, values["contents"], strict=True)
    ]
    sent = stock_transfers.send(
        database(),
        giver_id=values["giver_id"],
        taker_id=values["taker_id"],
        seal=values["seal"],
        contents=contents,
        actor=current_actor(),
        now=now(),
    )
    return _shown(sent)


@at(ONE, secured=True)
@gives(200, detail_schemas.TransferOutput)
@needs(*VIEWERS)
def one_consignment(transfer_id: int) -> StockTransfer:
    """Show a consignment."""
    return present(reader(), StockTransfer, transfer_id)


@at(f"{ONE}/receive", "POST", secured=True)
@takes(detail_schemas.FoundInput)
@gives(200, detail_schemas.TransferOutput)
@needs(Permission.KEEP_STOCK)
def receive_consignment(values: Values, transfer_id: int) -> StockTransfer:
    """Receive a consignment whose seal and count agree, as another person than the sender."""
    found = Found(values["seal"], values["blanks"])
    stock_transfers.receive(database(), transfer_id, found, actor=current_actor(), now=now())
    return _shown(transfer_id)


@at(f"{ONE}/dispute", "POST", secured=True)
@takes(detail_schemas.DisputeInput)
@gives(200, detail_schemas.TransferOutput)
@needs(Permission.KEEP_STOCK)
def dispute_consignment(values: Values, transfer_id: int) -> StockTransfer:
    """Record that seal or count do not agree; the blanks stay on the way until quality settles it."""
    found, remark = Found(values["seal"], values["blanks"]), values["remark"]
    stock_transfers.dispute(database(), transfer_id, found, remark=remark, actor=current_actor(), now=now())
    return _shown(transfer_id)


@at(f"{ONE}/settle", "POST", secured=True)
@takes(detail_schemas.SettleInput)
@gives(200, detail_schemas.TransferOutput)
@needs(Permission.CONTROL_QUALITY)
def settle_consignment(values: Values, transfer_id: int) -> StockTransfer:
    """End a dispute: the named chips are missing, all others go into the store."""
    missing, remark = parse_ranges(values["missing"]), values["remark"]
    stock_transfers.settle(database(), transfer_id, missing=missing, remark=remark, actor=current_actor(), now=now())
    return _shown(transfer_id)


@at(f"{ONE}/recall", "POST", secured=True)
@takes(detail_schemas.RecallInput)
@gives(200, detail_schemas.TransferOutput)
@needs(Permission.KEEP_STOCK)
def recall_consignment(values: Values, transfer_id: int) -> StockTransfer:
    """Take a consignment that nobody has received back into the store it came from."""
    stock_transfers.recall(database(), transfer_id, reason=values["reason"], actor=current_actor(), now=now())
    return _shown(transfer_id)


def _shown(transfer_id: int) -> StockTransfer:
    return present(database(), StockTransfer, transfer_id)
