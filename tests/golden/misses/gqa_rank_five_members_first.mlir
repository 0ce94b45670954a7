// Near miss `gqa_rank_five_members_first` of `gqa_rank_five_expanded`: The member dim before the group: head (m, g) reads kv head g, which is no grouping of neighbours.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,2,63,40],f32>, %arg2: !torch.vtensor<[2,2,63,40],f32>) -> !torch.vtensor<[2,2,2,63,40],f32> {
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int2, %int2, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,2,2,63,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,2,63,40],f32>
    %3 = torch.aten.unsqueeze %arg2, %int1 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,2,63,40],f32>
    %int-1 = torch.constant.int -1
    %int-2 = torch.constant.int -2
    %4 = torch.aten.transpose.int %2, %int-1, %int-2 : !torch.vtensor<[2,1,2,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,2,40,63],f32>
    %5 = torch.aten.matmul %1, %4 : !torch.vtensor<[2,2,2,63,40],f32>, !torch.vtensor<[2,1,2,40,63],f32> -> !torch.vtensor<[2,2,2,63,63],f32>
    %none = torch.constant.none
    %6 = torch.aten.softmax.int %5, %int-1, %none : !torch.vtensor<[2,2,2,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,2,2,63,63],f32>
    %7 = torch.aten.matmul %6, %3 : !torch.vtensor<[2,2,2,63,63],f32>, !torch.vtensor<[2,1,2,63,40],f32> -> !torch.vtensor<[2,2,2,63,40],f32>
    return %7 : !torch.vtensor<[2,2,2,63,40],f32>
  }
}
