// Near miss `masked_by_another` of `masked_again`: A mask on the probabilities that the scores do not have: rows do not sum to one.
// Left alone: probabilities_changed
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,1,63,63],i1>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,40,63],f32> -> !torch.vtensor<[3,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %none = torch.constant.none
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[3,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[3,4,63,63],f32>
    %3 = torch.aten.bitwise_not %arg2 : !torch.vtensor<[3,1,63,63],i1> -> !torch.vtensor<[3,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %4 = torch.aten.masked_fill.Scalar %2, %3, %float0.000000e00 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,1,63,63],i1>, !torch.float -> !torch.vtensor<[3,4,63,63],f32>
    %5 = torch.aten.matmul %4, %arg3 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,4,63,40],f32> -> !torch.vtensor<[3,4,63,40],f32>
    return %5 : !torch.vtensor<[3,4,63,40],f32>
  }
}
